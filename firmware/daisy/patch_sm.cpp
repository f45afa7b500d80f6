// tudor on a Daisy Patch SM (patch.init()): pins to numbers and back, nothing else.
//
// patch.init() has four knobs (CV_1-4), four CV jacks (CV_5-8), two gates in and out, a CV out.
#include "daisy_patch_sm.h"
#include "rig.h"

using namespace daisy;
using namespace patch_sm;

static DaisyPatchSM hw;
static rig instrument;
alignas(64) static char fast_memory[72 * 1024];
alignas(64) static char DSY_SDRAM_BSS slow_memory[48 * 1024 * 1024];

static uint32_t Ticks(void*) { return System::GetTick(); }

static void Callback(AudioHandle::InputBuffer in, AudioHandle::OutputBuffer out, size_t)
{
    rig_inputs  inputs = {};
    rig_outputs outputs;
    hw.ProcessAllControls();
    // Knobs of patch.init() read -1 to 1 like the jacks, but only the upper half is used.
    for(int i = 0; i < 8; i++)
        inputs.analog[i] = hw.GetAdcValue(CV_1 + i);
    inputs.gate[0] = hw.gate_in_1.State();
    inputs.gate[1] = hw.gate_in_2.State();
    rig_block(&instrument, &inputs, in, out, &outputs);
    hw.WriteCvOut(CV_OUT_1, 5.f * outputs.cv[0]);
    hw.WriteCvOut(CV_OUT_2, 5.f * outputs.cv[1]);
    hw.SetLed(outputs.led);
    hw.gate_out_1.Write(outputs.gate);
}

int main()
{
    hw.Init();
    hw.SetAudioBlockSize(RIG_BLOCK);
    hw.SetAudioSampleRate(SaiHandle::Config::SampleRate::SAI_48KHZ);
    rig_board board = {};
    board.fast      = fast_memory, board.fast_bytes = sizeof fast_memory;
    board.slow      = slow_memory, board.slow_bytes = sizeof slow_memory;
    board.store     = (const void*)STORE_ADDRESS, board.store_bytes = STORE_END - STORE_ADDRESS;
    board.clock     = Ticks, board.clock_hz = System::GetTickFreq();
    board.knobs     = 4, board.cvs = 4, board.channels = 2;
    if(rig_start(&instrument, &board) == 0)
        hw.StartAudio(Callback);
    while(true)
        hw.Delay(100);
}
