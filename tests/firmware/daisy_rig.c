/* The Daisy's instrument from files, on any machine: 48-sample callbacks with scripted inputs.
 *
 *   rig STORE IN OUT DTCM AXI D2 SDRAM     IN: stereo blocks of float32, planar in each block; OUT the same. Then the
 *                        bytes of each memory. Prints the fault, what lies in which memory, and sums of the CV outputs.
 *                        Knobs, CVs and gates move as the block number says.
 *   rig ... SDRAM HOLD   every knob and CV stays at HOLD / 10000 - 1. */
#include "platform.h"
#include "rig.h"
#include "stack.h"
#include "words.h"

#ifdef __arm__ /* where the stack is ours to paint: firmware/host/an500.ld */
extern uint32_t stack_top[], stack_bytes[];
#define STACK_LOW (stack_top - (uintptr_t)stack_bytes / 4)
#endif

static size_t number(const char *word) {
    size_t n = 0;
    for (; *word >= '0' && *word <= '9'; word++) n = n * 10 + (size_t)(*word - '0');
    return n;
}

static const char *const parts_in[] = {"parts_dtcm", "parts_axi", "parts_d2", "parts_sdram"};
static uint64_t fed;
static void feed(void *context) {
    (void)context;
    fed++;
}

void host_main(int count, char **words) {
    static struct rig rig;
    size_t store_bytes, in_bytes;
    if (count < 4 + RIG_MEMORIES) platform_exit(2);
    const void *const store = platform_read(words[1], &store_bytes);
    const float *const in = platform_read(words[2], &in_bytes);
    const size_t own_bytes = 160 << 10;
    struct rig_board board = {.own = {platform_memory(own_bytes, 0), own_bytes}, .store = store,
                              .store_bytes = store_bytes, .knobs = 4, .cvs = 4, .spares = 4, .channels = 2,
                              .healthy = feed};
    for (int i = 0; i < RIG_MEMORIES; i++) {
        const size_t bytes = number(words[4 + i]);
        board.memory[i] = (struct rig_memory){platform_memory(bytes, 0), bytes};
    }
    const uint32_t blocks = (uint32_t)(in_bytes / sizeof(float) / (2 * RIG_BLOCK));
    float *const out = platform_memory(in_bytes, 0);
    const char *const hold = count > 4 + RIG_MEMORIES ? words[4 + RIG_MEMORIES] : 0;
    struct rig_outputs outputs = {0};
    uint64_t cv[RIG_CV_OUTS] = {0};
#ifdef __arm__
    stack_paint(STACK_LOW, (const uint32_t *)__builtin_frame_address(0) - 256);
#endif
    if (rig_start(&rig, &board)) platform_exit(3);
    for (uint32_t b = 0; b < blocks; b++) {
        struct rig_inputs inputs = {0};
        for (uint32_t i = 0; i < RIG_ANALOG; i++)
            inputs.analog[i] = hold ? (float)number(hold) / 10000.0f - 1.0f : (float)((b * (i + 3)) % 1000) / 1000.0f;
        for (uint32_t i = 0; i < RIG_GATES; i++) inputs.gate[i] = b / (100 * (i + 1)) % 2;
        const float *const from[2] = {in + b * 2 * RIG_BLOCK, in + (b * 2 + 1) * RIG_BLOCK};
        float *const to[2] = {out + b * 2 * RIG_BLOCK, out + (b * 2 + 1) * RIG_BLOCK};
        rig_block(&rig, &inputs, from, to, &outputs);
        for (int i = 0; i < RIG_CV_OUTS; i++) cv[i] += (uint64_t)(outputs.cv[i] * 1000000.0f);
    }
#ifdef __arm__
    print_fact("stack", stack_deepest(STACK_LOW, stack_top));
#endif
    platform_write(words[3], out, in_bytes);
    print_fact("fault", rig.fault);
    print_fact("refused", (uint64_t)rig.why.code);
    print_fact("fast_in", rig.bank.places[0].fast);
    print_fact("bulk_in", rig.bank.places[0].bulk);
    print_fact("model_in", rig.bank.places[0].file);
    for (int i = 0; i < RIG_MEMORIES; i++) print_fact(parts_in[i], rig.bank.places[0].parts[i]);
    print_fact("fast_bytes", rig.bank.need[0].fast_bytes);
    print_fact("bulk_bytes", rig.bank.need[0].bulk_bytes);
    print_fact("turns", rig.bank.turns);
    print_fact("slots", rig.bank.playable);
    print_fact("misread", rig.misread.line);
    print_fact("cv1_last", (uint64_t)(outputs.cv[0] * 1000000.0f));
    print_fact("cv1", cv[0]);
    print_fact("cv2", cv[1]);
    print_fact("blocks", blocks);
    print_fact("fed", fed);
    platform_exit(0);
}
