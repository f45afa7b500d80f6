/* A plugin for qemu-aarch64 that counts executed instructions between the marks of host.c and prints the tallies when
 * the program ends. QEMU's plugin interface is stable but its header is in no package: the few functions that are
 * needed are declared here. */
#include "tally.h"

#include <stddef.h>
#include <stdio.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1 /* 2 from QEMU 9 on */
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct translated_block;
enum { CALLBACK_READS_NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*f)(plugin_id, struct translated_block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct translated_block *tb, void (*f)(unsigned, void *), int flags,
                                          void *data);
size_t qemu_plugin_tb_n_insns(const struct translated_block *tb);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id,
                                          void (*f)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                    uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id id, void (*f)(plugin_id, void *), void *data);
void qemu_plugin_outs(const char *text);
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int count, char **words);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

static uint64_t executed;
static struct tally tallies[TALLY_SLOTS];

static void block_runs(unsigned cpu, void *instructions) {
    (void)cpu;
    executed += (uint64_t)(uintptr_t)instructions;
}

static void block_translated(plugin_id id, struct translated_block *tb) {
    (void)id;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, CALLBACK_READS_NO_REGISTERS, instructions);
}

static void system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t slot, uint64_t begins, uint64_t a3,
                        uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != TALLY_MARK || slot >= TALLY_SLOTS) return;
    if (begins)
        tally_begin(&tallies[slot], executed);
    else
        tally_end(&tallies[slot], executed);
}

static void program_ends(plugin_id id, void *data) {
    (void)id, (void)data;
    char line[128];
    qemu_plugin_outs("unit instructions\n");
    for (unsigned slot = 0; slot < TALLY_SLOTS; slot++) {
        const struct tally *t = &tallies[slot];
        if (!t->calls) continue;
        snprintf(line, sizeof line, "tally %u %llu %llu %llu\n", slot, (unsigned long long)t->calls,
                 (unsigned long long)t->sum, (unsigned long long)t->worst);
        qemu_plugin_outs(line);
    }
}

int qemu_plugin_install(plugin_id id, const void *info, int count, char **words) {
    (void)info, (void)count, (void)words;
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    qemu_plugin_register_atexit_cb(id, program_ends, NULL);
    return 0;
}
