/* What of a model the instrument can play: its ways, its latents and their ranges, its pitch. */
#include "instrument.h"

#define RANGE_DEFAULT 3.0f /* of a latent that the file gives no range for: a unit Gaussian is inside of it */
#define QUIET (-5.0f) /* of a voice's loudness, in bels of full scale */
#define MIDDLING (-2.0f)
#define LOUD (-1.0f)

struct signature {
    tudor_method_info info;
    int found;
};

static struct signature method_for(const tudor_model *model, int role) {
    struct signature s = {.found = 0};
    s.found = tudor_method(model, tudor_find_role(model, role), &s.info) == 0;
    return s;
}

static int is_audio(uint32_t channels, uint32_t ratio) { return ratio == 1 && channels <= MODULE_CHANNELS; }
static int is_latent(uint32_t channels, uint32_t ratio) { return ratio > 1 && channels <= MODULE_LATENTS; }

/* A model may have others, of one value per frame say: what has no role of its own is an effect. */
int effect_method(const tudor_model *model) {
    tudor_method_info m;
    for (int i = 0; tudor_method(model, i, &m) == 0; i++)
        if (m.role == TUDOR_ROLE_EFFECT && is_audio(m.in_channels, m.in_ratio) && is_audio(m.out_channels, m.out_ratio))
            return i;
    return -1;
}

/* One whose latents are played by decode comes first: a tape may lie between them. */
int generating_method(const tudor_model *model) {
    const struct signature d = method_for(model, TUDOR_ROLE_DECODE);
    tudor_method_info g;
    int found = -1;
    for (int i = 0; tudor_method(model, i, &g) == 0; i++) {
        if (g.role != TUDOR_ROLE_GENERATE || !is_latent(g.in_channels, g.in_ratio)) continue;
        if (d.found && g.out_channels == d.info.in_channels && g.out_ratio == d.info.in_ratio &&
            is_audio(d.info.out_channels, d.info.out_ratio))
            return i;
        if (found < 0 && is_audio(g.out_channels, g.out_ratio)) found = i;
    }
    return found;
}

static struct signature generating(const tudor_model *model) {
    struct signature s = {.found = 0};
    s.found = tudor_method(model, generating_method(model), &s.info) == 0;
    return s;
}

uint32_t module_ways(const tudor_model *model) {
    if (!model) return 0;
    const struct signature e = method_for(model, TUDOR_ROLE_ENCODE), d = method_for(model, TUDOR_ROLE_DECODE);
    uint32_t ways = 0;
    const int decodes = d.found && is_latent(d.info.in_channels, d.info.in_ratio) &&
                        is_audio(d.info.out_channels, d.info.out_ratio);
    if (effect_method(model) >= 0) ways |= MODULE_EFFECT;
    if (decodes && e.found && is_audio(e.info.in_channels, e.info.in_ratio) &&
        e.info.out_channels == d.info.in_channels && e.info.out_ratio == d.info.in_ratio)
        ways |= MODULE_BEND;
    if (decodes || generating_method(model) >= 0) ways |= MODULE_SOURCE;
    return ways;
}

static int attribute_named(const tudor_model *model, const char *name, uint32_t *count) {
    tudor_attribute_info info;
    const int index = tudor_find_attribute(model, name);
    if (index < 0 || tudor_attribute(model, index, &info)) return -1;
    *count = info.count;
    return index;
}

/* Inputs with a meaning of their own. Pitches come first, by unit. */
static const char *const control_names[] = {"pitch", "pitch_hz", "pitch_oct", "loudness", "clarity", "gate", "free",
                                            "class", "variation", "code", "velocity", "late", "phase", "tempo", "bar"}; /* the last as enum
                                                                                         clock_input */
#define PITCHES (PITCH_OCTAVES + 1)
enum { LOUDNESS = PITCHES, CLARITY, GATE, FREE, CLASS, VARIATION, CODE, VELOCITY, LATE, CLOCK }; /* a class is chosen, and does not wander */
#define CONTROLS ((int)(sizeof control_names / sizeof *control_names))

/* Which of the first `count` controls the next of the labels is, "gate 2" being a gate, or -1; moves on. */
static int next_label(const char **labels, int count) {
    const char *const end = strchr(*labels, '\n');
    const size_t length = end ? (size_t)(end - *labels) : strlen(*labels);
    const char *const space = memchr(*labels, ' ', length);
    const struct word label = {*labels, space ? (size_t)(space - *labels) : length};
    *labels += length + (end != 0);
    for (int i = 0; i < count; i++)
        if (is_word(label, control_names[i])) return i;
    return -1;
}

/* The input that is labelled as a pitch. */
static int pitch_input(const tudor_method_info *info, enum pitch_unit *unit) {
    const char *labels = info->in_labels;
    for (uint32_t i = 0; i < info->in_channels; i++) {
        const int u = next_label(&labels, PITCHES);
        if (u >= 0) return *unit = (enum pitch_unit)u, (int)i;
    }
    return -1;
}

static uint32_t labelled(const tudor_method_info *info, int control, uint8_t at[MODULE_LATENTS]) {
    const char *labels = info->in_labels;
    uint32_t count = 0;
    for (uint32_t i = 0; i < info->in_channels && i < MODULE_LATENTS; i++)
        if (next_label(&labels, CONTROLS) == control) at[count++] = (uint8_t)i;
    return count;
}

/* Controls have a meaning of their own: they neither wander nor trade places. Of a loop its code alone does. */
uint32_t free_latents(const tudor_method_info *info, uint8_t at[MODULE_LATENTS]) {
    const uint32_t codes = labelled(info, CODE, at);
    return codes ? codes : labelled(info, -1, at);
}

/* A source rests at the middle of its ranges: tones that nothing was encoded for are clear there. */
static void make_clear(const tudor_model *model, struct subject *s) {
    const struct signature d = method_for(model, TUDOR_ROLE_DECODE);
    if (!d.found) return;
    const char *labels = d.info.in_labels;
    for (uint32_t i = 0; i < d.info.in_channels && i < MODULE_LATENTS; i++)
        if (next_label(&labels, CONTROLS) == CLARITY) s->ranges[i] = (struct range){0.0f, 2.0f};
}

static void find_pitch(const tudor_model *model, struct subject *s) {
    uint32_t count = 0;
    enum pitch_unit unit = PITCH_NOTE;
    s->pitch_latent = s->pitch_bent = s->pitch = -1;
    for (int u = PITCH_OCTAVES; u >= PITCH_NOTE && s->pitch < 0; u--) {
        s->pitch_unit = (enum pitch_unit)u;
        s->pitch = attribute_named(model, control_names[u], &count);
    }
    if (s->pitch >= 0 && count != 1) s->pitch = -1;
    const struct signature g = generating(model), d = method_for(model, TUDOR_ROLE_DECODE);
    const struct signature *const from = g.found ? &g : &d;
    if (s->pitch >= 0 || !from->found || from->info.in_channels > MODULE_LATENTS) return;
    s->pitch_latent = pitch_input(&from->info, &s->pitch_unit);
    if (d.found && d.info.in_channels <= MODULE_LATENTS)
        s->pitch_bent = pitch_input(&d.info, &unit);
    if (unit != PITCH_OCTAVES) s->pitch_bent = -1; /* notes and hertz lie beyond what a latent may be */
}

/* The time, and gates that strike. */
static void find_clock(const tudor_model *model, struct subject *s) {
    const struct signature g = generating(model);
    for (int i = 0; i < CLOCK_INPUTS; i++) s->clock[i] = -1;
    s->variation = -1;
    if (!g.found) return;
    const char *labels = g.info.in_labels;
    int codes = 0;
    uint32_t gate = 0; /* the last before it */
    for (uint32_t i = 0; i < g.info.in_channels && i < MODULE_LATENTS; i++) {
        const int control = next_label(&labels, CONTROLS);
        if (control >= CLOCK) s->clock[control - CLOCK] = (int)i;
        if (control == VARIATION) s->variation = (int)i;
        codes += control == CODE;
        if (control == GATE) gate = i;
        if (control == LATE) s->late[gate] = (uint8_t)(i + 1), s->gates |= UINT64_C(1) << gate, s->strikes = 1;
    }
    s->loops = codes > 0 && s->clock[CLOCK_PHASE] >= 0;
}

/* Of a voice, the first of each kind: what has a pitch in octaves and a gate. It rests with its gate shut. */
static void find_voice(const tudor_model *model, struct subject *s) {
    const struct signature g = generating(model);
    s->gate = s->loudness = s->free = -1;
    if (!g.found || s->pitch_latent < 0 || s->pitch_unit != PITCH_OCTAVES) return;
    const char *labels = g.info.in_labels;
    for (uint32_t i = 0; i < g.info.in_channels && i < MODULE_LATENTS; i++) {
        const int control = next_label(&labels, CONTROLS);
        if (control == GATE && s->gate < 0) s->gate = (int)i;
        if (control == LOUDNESS && s->loudness < 0) s->loudness = (int)i;
        if (control == FREE && s->free < 0) s->free = (int)i;
    }
}

/* A drum voice by itself: what has one gate, and a velocity. */
static void find_drum(const tudor_model *model, struct subject *s) {
    uint8_t at[MODULE_LATENTS];
    const struct signature g = generating(model);
    s->velocity = -1;
    if (!g.found || s->strikes || labelled(&g.info, GATE, at) != 1 || !strokes_lead(model, generating_method(model))) return;
    s->gate = at[0];
    if (labelled(&g.info, VELOCITY, at) != 1) return;
    s->velocity = at[0];
    s->strikes_one = 1;
    s->gates = UINT64_C(1) << s->gate;
}

/* Gates are shut. */
static void rest_voice(const tudor_method_info *info, struct subject *s) {
    const char *labels = info->in_labels;
    for (uint32_t i = 0; s->pitch_unit == PITCH_OCTAVES && i < info->in_channels && i < MODULE_LATENTS; i++) {
        const int control = next_label(&labels, CONTROLS);
        if (control == GATE || control == FREE) s->ranges[i] = (struct range){0.0f, 1.0f}, s->rest[i] = 0.0f;
    }
    if (s->gate < 0 || s->loudness < 0) return;
    s->ranges[s->loudness] = (struct range){QUIET, LOUD};
    s->rest[s->loudness] = MIDDLING;
}

void take_way(struct subject *s, uint32_t way) {
    const struct signature g = generating(s->model);
    const int generates = way == MODULE_SOURCE && g.found;
    for (uint32_t i = 0; i < MODULE_LATENTS; i++) s->ranges[i] = (struct range){-RANGE_DEFAULT, RANGE_DEFAULT};
    find_ranges(tudor_metadata(s->model), generates ? g.info.name : 0, s->ranges, MODULE_LATENTS);
    if (!generates) make_clear(s->model, s);
    for (uint32_t i = 0; i < MODULE_LATENTS; i++) s->rest[i] = 0.5f * (s->ranges[i].low + s->ranges[i].high);
    if (!generates) return;
    if (s->pitch_latent >= 0) rest_voice(&g.info, s);
    const char *labels = g.info.in_labels;
    for (uint32_t i = 0; i < g.info.in_channels && i < MODULE_LATENTS; i++)
        if (next_label(&labels, CONTROLS) == VELOCITY) s->ranges[i] = (struct range){0.0f, 1.0f}, s->rest[i] = 1.0f;
    if (s->variation >= 0) s->rest[s->variation] = s->ranges[s->variation].low; /* every bar the same */
}

int describe(const tudor_model *model, uint32_t sample_rate_hz, uint32_t in_channels, struct subject *s,
             module_complaint *why) {
    uint32_t count = 0;
    memset(s, 0, sizeof *s);
    s->model = model;
    s->sample_rate_hz = sample_rate_hz;
    s->in_channels = in_channels;
    s->ways = module_ways(model);
    if (!s->ways)
        return complain(why, MODULE_ERROR_WAY, 0,
                        "the model has no method that an instrument can play: an effect with audio in and out, "
                        "encode and decode, or generate, of at most two channels and 64 latents", 0, 0, 0);
    s->bias = attribute_named(model, "bias", &count);
    if (s->bias >= 0 && count > MODULE_LATENTS) s->bias = -1;
    s->scale = s->bias >= 0 ? attribute_named(model, "scale", &count) : -1;
    find_pitch(model, s);
    find_clock(model, s);
    find_voice(model, s);
    find_drum(model, s);
    take_way(s, first_way(s));
    return 0;
}

/* ---- ways of playing ---- */

/* The method whose input the controls move; 0 on success. */
static int moved_method(const struct subject *s, uint32_t way, tudor_method_info *info) {
    int method = way == MODULE_SOURCE ? generating_method(s->model) : -1;
    if (method < 0) method = tudor_find_role(s->model, TUDOR_ROLE_DECODE);
    return tudor_method(s->model, method, info);
}

uint32_t way_latents(const struct subject *s, uint32_t way) {
    tudor_method_info info;
    tudor_attribute_info bias;
    if (way == MODULE_EFFECT) return s->bias >= 0 && !tudor_attribute(s->model, s->bias, &bias) ? bias.count : 0;
    return moved_method(s, way, &info) ? 0 : info.in_channels;
}

float way_swaps(const struct subject *s, uint32_t way) {
    tudor_method_info info;
    uint8_t at[MODULE_LATENTS];
    return moved_method(s, way, &info) ? 0.0f : (float)free_latents(&info, at);
}

uint32_t first_way(const struct subject *s) {
    if (s->in_channels == 0 && (s->ways & MODULE_SOURCE)) return MODULE_SOURCE;
    return s->ways & MODULE_BEND ? MODULE_BEND : s->ways & MODULE_EFFECT ? MODULE_EFFECT : MODULE_SOURCE;
}

int has_pitch(const struct subject *s, uint32_t way) {
    return s->pitch >= 0 || (way == MODULE_SOURCE && s->pitch_latent >= 0) || (way == MODULE_BEND && s->pitch_bent >= 0);
}
