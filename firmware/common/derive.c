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

/* A voice: a pitch, a gate that jacks and keys open at once, how loud; and a gate that sets it free, where there is but
 * one slot the fourth too, which may be a toggle. */
static size_t derive_voice(const struct subject *subject, uint32_t slots, struct sentence s) {
    say(&s, "way source\n");
    derive_latent(&s, "knob1", subject->loudness, "");
    if (tudor_find_attribute(subject->model, "temperature") >= 0) say(&s, "knob2 attribute temperature 0.3 1.2\n");
    say(&s, "cv1 pitch smooth=2\n");
    derive_latent(&s, "cv2", subject->loudness, "");
    if (subject->loudness >= 0) derive_depth(&s, 3, 2);
    say(&s, "note pitch\nbender pitch\n");
    derive_latent(&s, "key", subject->gate, " smooth=0");
    derive_latent(&s, "velocity", subject->loudness, " -1.5 0 smooth=0");
    derive_latent(&s, "gate1", subject->gate, " smooth=0");
    derive_latent(&s, "gate2", subject->free, " smooth=0");
    say(&s, "gate3 reset\n");
    if (slots > 1) say(&s, "gate4 next\n");
    else derive_latent(&s, "gate4", subject->free, " smooth=0");
    return s.at;
}

/* A knob for the mix, then knobs and CVs over the latents, and what knobs are left over those CVs' depths; without
 * latents knobs over the model's attributes. Where there is but one slot, no gate asks for the next. */
size_t derive_mapping(const struct subject *subject, uint32_t slots, char *text, size_t size) {
    struct sentence s = {text, size, 0};
    const uint32_t way = first_way(subject), latents = way_latents(subject, way);
    if (way == MODULE_SOURCE && subject->gate >= 0) return derive_voice(subject, slots, s);
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
