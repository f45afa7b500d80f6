/* The mapping of a model that has none, as text: a beginning for one of its own. */
#include "instrument.h"

static void derive_line(struct sentence *s, const char *source, uint32_t number, const char *target, uint32_t index) {
    say(s, source);
    if (number) say_number(s, number);
    say(s, " ");
    say(s, target);
    if (index) {
        say(s, " ");
        say_number(s, index);
    }
    say(s, "\n");
}

static void derive_latent(struct sentence *s, const char *source, int latent, const char *rest) {
    if (latent < 0) return;
    say(s, source);
    say(s, " latent ");
    say_number(s, (uint32_t)latent + 1);
    say(s, rest);
    say(s, "\n");
}

static void derive_depth(struct sentence *s, uint32_t knob, uint32_t cv) {
    char target[16];
    struct sentence name = {target, sizeof target, 0};
    say(&name, "depth cv");
    say_number(&name, cv);
    derive_line(s, "knob", knob, target, 0);
}

/* The input that is labelled so, "code 2" being a code. */
static int labelled(const tudor_method_info *info, const char *name) {
    const size_t length = strlen(name);
    const char *label = info->in_labels;
    for (uint32_t i = 0; label && i < info->in_channels; i++, label = strchr(label, '\n'), label += label != 0)
        if (!strncmp(label, name, length) && (!label[length] || label[length] == '\n' || label[length] == ' '))
            return (int)i;
    return -1;
}

/* Which drum a voice strikes: the shares of three, and nothing wanders; by controllers all that it mixes. */
static void derive_drums(const struct subject *subject, struct sentence *s) {
    static const struct { const char *source, *label, *rest; } mixed[] = {
        {"knob1", "kick", "  # kick"}, {"knob3", "snare", "  # snare"}, {"knob4", "hat_closed", "  # closed hat"},
        {"cv2", "kick", " in=0:5"}, {"cv3", "snare", " in=0:5"}, {"cv4", "hat_closed", " in=0:5"}};
    tudor_method_info info;
    uint8_t shares[MODULE_LATENTS];
    if (tudor_method(subject->model, generating_method(subject->model), &info)) return;
    if (labelled(&info, "kick") < 0) return;
    say(s, "knob1 walk 0 0\n");
    for (uint32_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
        char rest[32];
        struct sentence range = {rest, sizeof rest, 0};
        say(&range, " 0 1");
        say(&range, mixed[i].rest);
        derive_latent(s, mixed[i].source, labelled(&info, mixed[i].label), rest);
    }
    const int z = labelled(&info, "z");
    for (uint32_t i = 0, cc = 20, count = free_latents(&info, shares); i < count && (z < 0 || shares[i] < z); i++)
        derive_line(s, "cc", cc++, "latent", shares[i] + 1u);
}

/* A voice: a pitch, a gate that jacks and keys open at once, how loud; and a gate that sets it free, where there is but
 * one slot the fourth too, which may be a toggle. */
static size_t derive_voice(const struct subject *subject, uint32_t slots, struct sentence s) {
    say(&s, "way source\n");
    derive_latent(&s, "knob1", subject->loudness, "");
    if (subject->loudness < 0) derive_drums(subject, &s);
    if (tudor_find_attribute(subject->model, "temperature") >= 0) say(&s, "knob2 attribute temperature 0.3 1.2\n");
    say(&s, "cv1 pitch smooth=2\n");
    derive_latent(&s, "cv2", subject->loudness, "");
    if (subject->loudness >= 0) derive_depth(&s, 3, 2);
    say(&s, "note pitch\nbender pitch\n");
    derive_latent(&s, "key", subject->gate, " smooth=0");
    derive_latent(&s, "velocity", subject->loudness, " -1.5 0 smooth=0");
    derive_latent(&s, "velocity", subject->velocity, " smooth=0");
    derive_latent(&s, "gate1", subject->gate, " smooth=0");
    derive_latent(&s, "gate2", subject->free, " smooth=0");
    say(&s, "gate3 reset\n");
    if (slots > 1) say(&s, "gate4 next\n");
    else derive_latent(&s, "gate4", subject->free, " smooth=0");
    return s.at;
}

/* Loops: two of them and the way between, what they are like, a clock, and new ones at the bar. What a small panel has
 * comes first. */
static size_t derive_loops(const struct subject *subject, uint32_t slots, struct sentence s) {
    static const struct { const char *source, *label, *rest; } moved[] = {
        {"knob2", "density", " -2 2  # density"}, {"knob3", "brightness", " -2 2  # brightness"},
        {"knob4", "variation", "  # variation"}, {"knob7", "loudness", " -2 2  # loudness"},
        {"knob8", "style x", "  # style"}, {"knob9", "style y", "  # style"}, {"cv1", "code", "  # code"},
        {"cv2", "density", " -2 2  # density"}, {"cv3", "brightness", " -2 2  # brightness"},
        {"cv4", "variation", "  # variation"}};
    tudor_method_info info;
    if (tudor_method(subject->model, generating_method(subject->model), &info)) return 0;
    say(&s, "way source\nknob1 morph\n");
    for (uint32_t i = 0; i < sizeof moved / sizeof *moved; i++)
        derive_latent(&s, moved[i].source, labelled(&info, moved[i].label), moved[i].rest);
    say(&s, "knob5 walk\nknob6 rate 0.0625 1 unit=beat\n");
    for (uint32_t i = 0, cc = 20; i < info.in_channels && i < MODULE_LATENTS; i++)
        if ((int)i != subject->clock[CLOCK_PHASE] && (int)i != subject->clock[CLOCK_TEMPO])
            derive_line(&s, "cc", cc++, "latent", i + 1);
    say(&s, "cc1 morph\n");
    if (tudor_find_attribute(subject->model, "seed") >= 0) say(&s, "cc14 attribute seed 0 127 smooth=0\n");
    say(&s, "note jump\ngate1 jump at=bar\ngate2 clock 4\ngate3 freeze\ngate4 reset\n");
    if (slots > 1) say(&s, "gate5 next at=bar\n");
    say(&s, "gate6 downbeat\ngate7 record at=bar\n");
    say(&s, tudor_find_role(subject->model, TUDOR_ROLE_EMBED) >= 0 ? "gate8 capture at=bar\n" : "gate8 loop\n");
    return s.at;
}

/* As the file has it: a string of JSON, in which only ends of lines are written otherwise. */
static size_t derive_said(const char *at, struct sentence s) {
    for (; *at && *at != '"'; at++) {
        const int ends = *at == '\\';
        const char one[2] = {ends ? '\n' : *at, 0};
        at += ends;
        say(&s, one);
    }
    return s.at;
}

/* A knob for the mix, then knobs and CVs over the latents, and what knobs are left over those CVs' depths; without
 * latents knobs over the model's attributes. Where there is but one slot, no gate asks for the next. */
size_t derive_mapping(const struct subject *subject, uint32_t slots, char *text, size_t size) {
    struct sentence s = {text, size, 0};
    const uint32_t way = first_way(subject), latents = way_latents(subject, way);
    const char *said = tudor_metadata(subject->model);
    const char *const end = said ? said + strlen(said) : 0;
    said = json_behind(said, end, "mapping");
    if (said && *said == ' ') said++;
    if (said && *said == '"') return derive_said(said + 1, s);
    if (way == MODULE_SOURCE && subject->gate >= 0) return derive_voice(subject, slots, s);
    if (way == MODULE_SOURCE && subject->loops) return derive_loops(subject, slots, s);
    const int pitch = has_pitch(subject, way);
    const uint32_t knobs = latents < 7 ? latents : 7; /* behind the first */
    static const char *const moving[] = {"freeze", "next", "jump", "reset", "record", "loop"},
                      *const plain[] = {"reset", "next", "record", "loop"}; /* no latents to hold */
    const char *const *const gates = way == MODULE_EFFECT ? plain : moving;
    const uint32_t gate_count = way == MODULE_EFFECT ? 4 : 6;
    derive_line(&s, "way", 0, way == MODULE_EFFECT ? "effect" : way == MODULE_BEND ? "bend" : "source", 0);
    derive_line(&s, "knob", 1, way == MODULE_SOURCE ? "walk" : "wet", 0);
    for (uint32_t i = 0; i < knobs; i++) derive_line(&s, "knob", i + 2, "latent", i + 1);
    if (pitch) {
        derive_line(&s, "cv", 1, "pitch", 0);
        derive_line(&s, "note", 0, "pitch", 0);
        derive_line(&s, "bender", 0, "pitch", 0);
    } else if (way == MODULE_SOURCE) {
        derive_line(&s, "note", 0, "jump", 0);
    }
    for (uint32_t i = 0; i < latents && i < 8; i++) {
        if (i + 1 + (uint32_t)pitch <= 8) derive_line(&s, "cv", i + 1 + (uint32_t)pitch, "latent", i + 1);
        derive_line(&s, "cc", 20 + i, "latent", i + 1);
    }
    for (uint32_t i = 0; latents && i + knobs + 2 <= 8 && i < latents && i + 1 + (uint32_t)pitch <= 8; i++)
        derive_depth(&s, knobs + 2 + i, i + 1 + (uint32_t)pitch);
    for (int a = 0, knob = 2; latents == 0 && a < tudor_attributes(subject->model) && knob <= 8; a++) {
        tudor_attribute_info info;
        if (tudor_attribute(subject->model, a, &info) || info.count != 1 || strlen(info.name) > 40) continue;
        char line[64];
        struct sentence name = {line, sizeof line, 0};
        say(&name, "attribute ");
        say(&name, info.name);
        derive_line(&s, "knob", (uint32_t)knob++, line, 0);
    }
    derive_line(&s, "cc", 1, way == MODULE_SOURCE ? "walk" : "wet", 0);
    for (uint32_t i = 0, gate = 1; i < gate_count; i++)
        if (slots > 1 || strcmp(gates[i], "next")) derive_line(&s, "gate", gate++, gates[i], 0);
    return s.at;
}
