// tudor on a Daisy Patch SM (patch.init()): pins to numbers and back, nothing else.
//
// patch.init() has four knobs (CV_1-4), four CV jacks (CV_5-8), two gates in and out, a CV out, a
// button (B7) and a toggle (B8), which are gates 3 and 4, and at CV_OUT_2 the LED of its panel.
// ADC_10-12 are on its header: CV 10 to 12. A2, which would be ADC_9, receives MIDI.
#include "daisy_patch_sm.h"
#include "midi_ports.h"
#include "places.h"
#include "tuning.h"

using namespace daisy;
using namespace patch_sm;

static DaisyPatchSM hw;
static MidiPorts midi;
static rig instrument;
static GPIO buttons[2];

static const float LIT = 3.f; // volts: with room for a clip to be brighter

static uint32_t Ticks(void*) { return System::GetTick(); }

static void Callback(AudioHandle::InputBuffer in, AudioHandle::OutputBuffer out, size_t)
{
    rig_inputs  inputs = {};
    rig_outputs outputs;
    hw.ProcessAllControls();
    // Knobs of patch.init() read -1 to 1 like the jacks, but only the upper half is used.
    // ADC_10-12 read 0 to 1 for 0 to 3.3 V.
    for(int i = 0; i < RIG_ANALOG; i++)
        inputs.analog[i] = CV_1 + i == ADC_9 ? 0.f : hw.GetAdcValue(CV_1 + i);
    inputs.gate[0] = hw.gate_in_1.State();
    inputs.gate[1] = hw.gate_in_2.State();
    for(int i = 0; i < 2; i++)
        inputs.gate[2 + i] = !buttons[i].Read(); // to ground
    rig_block(&instrument, &inputs, in, out, &outputs);
    hw.WriteCvOut(CV_OUT_1, 5.f * outputs.cv[0]);
    hw.WriteCvOut(CV_OUT_2, !outputs.led ? 0.f : outputs.clipped ? 5.f : LIT);
    hw.SetLed(outputs.led);
    hw.gate_out_1.Write(outputs.gate);
}

static int Button(void*) { return !buttons[0].Read(); }
static void ReadCvs(void*, float* cvs)
{
    hw.ProcessAllControls();
    for(int i = 0; i < 4; i++)
        cvs[i] = hw.GetAdcValue(CV_5 + i);
}
static void Light(void*, int on)
{
    hw.SetLed(on);
    hw.WriteCvOut(CV_OUT_2, on ? LIT : 0.f); // the panel's LED
}

int main()
{
    hw.Init();
    hw.SetAudioBlockSize(RIG_BLOCK);
    hw.SetAudioSampleRate(SaiHandle::Config::SampleRate::SAI_48KHZ);
    rig_board board = {};
    places_start(&board);
    board.store     = (const void*)STORE_ADDRESS, board.store_bytes = STORE_END - STORE_ADDRESS;
    board.clock     = Ticks, board.clock_hz = System::GetTickFreq();
    board.knobs     = 4, board.cvs = 4, board.spares = 4, board.channels = 2;
    board.healthy   = places_healthy;
    board.buttons   = 0xc;
    buttons[0].Init(DaisyPatchSM::B7, GPIO::Mode::INPUT, GPIO::Pull::PULLUP);
    buttons[1].Init(DaisyPatchSM::B8, GPIO::Mode::INPUT, GPIO::Pull::PULLUP);
    Tune(board, Button, ReadCvs, Light);
    if(rig_start(&instrument, &board) == 0)
    {
        midi.Start(instrument, UartHandler::Config::Peripheral::UART_4, DaisyPatchSM::A2);
        places_watch();
        hw.StartAudio(Callback);
    }
    while(true)
    {
        hw.Delay(1);
        if(instrument.m)
        {
            rig_attend(&instrument, System::GetNow());
            midi.Attend();
        }
        if(places_stack_deepest() > PLACES_STACK_BYTES - PLACES_STACK_SPARE)
            instrument.crowded = 1;
    }
}
