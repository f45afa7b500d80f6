#include "report.h"

#include "basics.h"

#include <string.h>

#ifndef TUDOR_VERSION
#define TUDOR_VERSION "unknown"
#endif
#define UNREAD 0xffffu /* of a load that is no number, or beyond all sense */

/* A line, or nothing of it. */
static void line(struct sentence *s, const char *name, const char *value) {
    const size_t before = s->at, needed = strlen(name) + strlen(value) + 2;
    if (before + needed >= s->size) return;
    say(s, name);
    say(s, " ");
    say(s, value);
    say(s, "\n");
}

static void number(struct sentence *s, const char *name, uint64_t value) {
    char digits[24];
    struct sentence d = {digits, sizeof digits, 0};
    say_number(&d, value);
    line(s, name, digits);
}

static uint32_t per_mille(float share) { return share >= 0.0f && share < 60.0f ? (uint32_t)(share * 1000.0f + 0.5f) : UNREAD; }

static void places(struct sentence *s, const struct bank *bank, uint32_t slot) {
    static const char *const names[] = {"dtcm", "axi", "d2", "sdram", "qspi"};
    static const char *const apart[] = {"apart_dtcm", "apart_axi", "apart_d2", "apart_sdram"};
    if (slot >= bank->store.count) return;
    const struct bank_places *const in = &bank->places[slot];
    line(s, "file", names[in->file]);
    for (uint32_t i = 0; i < RIG_MEMORIES; i++)
        if (in->parts[i]) number(s, apart[i], in->parts[i]);
}

size_t report_answer(const struct rig *rig, const struct report_stack *stack, uint8_t answer[REPORT_BYTES]) {
    static const uint8_t head[] = REPORT_HEAD;
    static const char *const ways[] = {"none", "effect", "bend", "none", "source"};
    struct sentence s = {(char *)answer + sizeof head, REPORT_BYTES - sizeof head - 1, 0};
    module_status now;
    module_read_status(rig->m, &now);
    line(&s, "version", TUDOR_VERSION);
    line(&s, "state", module_state_text(now.state));
    number(&s, "slot", now.slot < MODULE_SLOTS ? now.slot + 1 : 0);
    number(&s, "slots", rig->bank.store.count);
    line(&s, "model", now.slot < MODULE_SLOTS ? module_slot_name(rig->m, now.slot) : "");
    line(&s, "way", now.way < sizeof ways / sizeof *ways ? ways[now.way] : "none");
    number(&s, "rate_hz", RIG_RATE_HZ);
    number(&s, "block_samples", RIG_BLOCK);
    number(&s, "load", per_mille(now.load));
    number(&s, "load_worst", per_mille(now.load_worst));
    number(&s, "misses", now.misses);
    number(&s, "overloads", now.overloads);
    number(&s, "faults", now.faults);
    number(&s, "dropped", now.dropped);
    number(&s, "latency_samples", now.latency_samples);
    number(&s, "strike_samples", now.strike_samples);
    number(&s, "stack", stack->deepest);
    number(&s, "stack_room", stack->room);
    number(&s, "unsaved", rig->keeper.failed != 0);
    places(&s, &rig->bank, now.slot);
    if (rig->fault) number(&s, "store_fault", rig->fault);
    memcpy(answer, head, sizeof head);
    for (size_t i = sizeof head; i < sizeof head + s.at; i++)
        if (answer[i] > '~' || (answer[i] < ' ' && answer[i] != '\n')) answer[i] = '?';
    answer[sizeof head + s.at] = 0xf7;
    return sizeof head + s.at + 1;
}

#define CODE_GOES_ON 4u
#define CODE_ENDS 4u /* and as many as the bytes that are left: 5, 6 or 7 */

size_t report_packets(const uint8_t *message, size_t bytes, uint8_t packets[REPORT_PACKETS_BYTES]) {
    uint8_t *to = packets;
    for (size_t at = 0; at < bytes; at += 3, to += 4) {
        const size_t left = bytes - at;
        to[0] = (uint8_t)(left > 3 ? CODE_GOES_ON : CODE_ENDS + left);
        for (size_t i = 0; i < 3; i++) to[1 + i] = i < left ? message[at + i] : 0;
    }
    return (size_t)(to - packets);
}
