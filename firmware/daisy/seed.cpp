// tudor on a Daisy Seed: four knobs on A0-A3, four CVs on A4-A6 and A9 (0 to 3.3 V, centred), gates on D0 and D1,
// buttons to ground on D3 and D4, LEDs on D5-D10. A7 and A8 are the pins of the DAC: CV outs 2 and 1. D14
// receives MIDI.
#include "daisy_seed.h"
#include "midi_ports.h"
#include "places.h"
#include "tuning.h"

using namespace daisy;
using namespace seed;

static DaisySeed hw;
static GPIO      gates[RIG_GATES], gate_out, leds[LED_COUNT];
static rig       instrument;
static MidiPorts midi;

static uint32_t Ticks(void*) { return System::GetTick(); }

static void Callback(AudioHandle::InputBuffer in, AudioHandle::OutputBuffer out, size_t)
{
    rig_inputs  inputs = {};
    rig_outputs outputs;
    for(int i = 0; i < 8; i++)
        inputs.analog[i] = i < 4 ? hw.adc.GetFloat(i) : 2.f * hw.adc.GetFloat(i) - 1.f;
    for(int i = 0; i < RIG_GATES; i++)
        inputs.gate[i] = !gates[i].Read(); // behind a transistor, or to ground: low means high
    rig_block(&instrument, &inputs, in, out, &outputs);
    hw.dac.WriteValue(DacHandle::Channel::ONE, (uint16_t)(4095.f * outputs.cv[0]));
    hw.dac.WriteValue(DacHandle::Channel::TWO, (uint16_t)(4095.f * outputs.cv[1]));
    hw.SetLed(outputs.led);
    for(int i = 0; i < LED_COUNT; i++)
        leds[i].Write(outputs.lights >> i & 1);
    gate_out.Write(outputs.gate);
}

static void StartPins()
{
    const Pin        analog[8] = {A0, A1, A2, A3, A4, A5, A6, A9};
    AdcChannelConfig channels[8];
    for(int i = 0; i < 8; i++)
        channels[i].InitSingle(analog[i]);
    hw.adc.Init(channels, 8);
    hw.adc.Start();
    DacHandle::Config dac;
    dac.bitdepth   = DacHandle::BitDepth::BITS_12;
    // Its own buffer would not come nearer than 0.2 V to either end; an op-amp is wanted behind it.
    dac.buff_state = DacHandle::BufferState::DISABLED;
    dac.mode       = DacHandle::Mode::POLLING;
    dac.chn        = DacHandle::Channel::BOTH;
    hw.dac.Init(dac);
    const Pin in[RIG_GATES] = {D0, D1, D3, D4};
    for(int i = 0; i < RIG_GATES; i++)
        gates[i].Init(in[i], GPIO::Mode::INPUT, GPIO::Pull::PULLUP);
    const Pin lights[LED_COUNT] = {D5, D6, D7, D8, D9, D10}; // play, fault, clip, frozen, recording, looping
    for(int i = 0; i < LED_COUNT; i++)
        leds[i].Init(lights[i], GPIO::Mode::OUTPUT);
    gate_out.Init(D2, GPIO::Mode::OUTPUT);
}

static int Button(void*) { return !gates[2].Read(); } // D3
static void Light(void*, int on) { hw.SetLed(on); }
static void ReadCvs(void*, float* cvs)
{
    for(int i = 0; i < 4; i++)
        cvs[i] = 2.f * hw.adc.GetFloat(4 + i) - 1.f;
}

int main()
{
    hw.Init(true); // 480 MHz
    hw.SetAudioBlockSize(RIG_BLOCK);
    hw.SetAudioSampleRate(SaiHandle::Config::SampleRate::SAI_48KHZ);
    StartPins();
    rig_board board = {};
    places_start(&board);
    board.store     = (const void*)STORE_ADDRESS, board.store_bytes = STORE_END - STORE_ADDRESS;
    board.clock     = Ticks, board.clock_hz = System::GetTickFreq();
    board.knobs     = 4, board.cvs = 4, board.channels = 2;
    board.buttons   = 0xc;
    board.healthy   = places_healthy;
    Tune(board, Button, ReadCvs, Light);
    if(rig_start(&instrument, &board) == 0)
    {
        midi.Start(instrument, UartHandler::Config::Peripheral::USART_1, D14);
        places_watch();
        hw.StartAudio(Callback);
    }
    while(true)
    {
        System::Delay(1);
        if(instrument.m)
        {
            rig_attend(&instrument, System::GetNow());
            midi.Attend();
        }
        if(places_stack_deepest() > PLACES_STACK_BYTES - PLACES_STACK_SPARE)
            instrument.crowded = 1;
    }
}
