/* Audio's way around the model: trim and dry delay before it; mix, DC blocker and limiter behind it. */
#include "instrument.h"

#define INPUT_LIMIT 8.0f
#define ONE (1u << 24) /* a limiter's gain of 1 */
#define TRIM_SECONDS 0.02f

/* Takes the board's audio: what is no number becomes 0. Fills the dry delay and the trimmed input. */
void input_block(tudor_module *m, const float *const *in) {
    const uint32_t block = m->config.block_samples, mask = m->config.dry_samples - 1;
    const struct player *const p = m->voice[1].player ? m->voice[1].player : m->voice[0].player;
    const float seconds = (float)block / (float)m->config.sample_rate_hz, goal = p ? player_scalar(p, TARGET_INPUT) : 1.0f;
    const float last = m->trim, next = flushed(last + (goal - last) * (seconds / (seconds + TRIM_SECONDS)));
    const float step = (next - last) / (float)block;
    float peak = 0.0f;
    for (uint32_t c = 0; c < m->config.in_channels; c++)
        for (uint32_t i = 0; i < block; i++) {
            float x = in && in[c] ? in[c][i] : 0.0f;
            if (!is_finite(x)) {
                x = 0.0f;
                m->nonfinite++;
            }
            x = flushed(clamped(x, -INPUT_LIMIT, INPUT_LIMIT));
            if (magnitude(x) > peak) peak = magnitude(x);
            m->dry[c][(m->dry_at + i) & mask] = x;
            m->trimmed[c][i] = x * (last + step * (float)(i + 1));
        }
    m->trim = next;
    m->in_peak = peak;
}

struct tap {
    uint32_t delay;
    float gain, step; /* of the model's fade, in samples: at the block's beginning, and per sample */
    int is_source, there;
};

static struct tap tap_of(const tudor_module *m, const struct voice *v) {
    const uint32_t most = m->config.dry_samples - m->config.block_samples;
    struct tap t = {.delay = 0};
    if (!v->player) return t;
    t.there = 1;
    t.delay = v->player->latency_samples < most ? v->player->latency_samples : most;
    t.is_source = v->player->way == MODULE_SOURCE;
    t.gain = (float)v->gain;
    t.step = v->rising ? 1.0f : -1.0f;
    return t;
}

static float dry_at(const tudor_module *m, uint32_t channel, uint32_t index) {
    const uint32_t at = index & (m->config.dry_samples - 1), have = m->config.in_channels;
    if (have == 0) return 0.0f;
    if (have == 2 && m->config.out_channels == 1) return 0.5f * (m->dry[0][at] + m->dry[1][at]);
    return m->dry[channel < have ? channel : 0][at];
}

static float faded(float count, float step, uint32_t i, float inverse_full) {
    return smooth_step(clamped((count + step * (float)(i + 1)) * inverse_full, 0.0f, 1.0f));
}

/* Dry and wet of both voices. A model that is faded out leaves the dry sound; a source leaves silence. */
void mix_block(tudor_module *m, float *const *out) {
    const uint32_t block = m->config.block_samples;
    const struct tap taps[2] = {tap_of(m, &m->voice[0]), tap_of(m, &m->voice[1])};
    const float inverse = 1.0f / (float)m->fade_samples, cross_step = m->cross_rising ? 1.0f : -1.0f;
    float *const wet_ramp = m->ramp[RAMP_WET], *const level = m->ramp[RAMP_LEVEL];
    for (uint32_t i = 0; i < block; i++) {
        const float cross = m->voice[1].player ? faded((float)m->crossed, cross_step, i, inverse) : 0.0f;
        float share[2], dry[2];
        for (uint32_t v = 0; v < 2; v++) {
            const float gain = taps[v].there ? faded(taps[v].gain, taps[v].step, i, inverse) : 0.0f;
            share[v] = wet_ramp[i] * gain;
            dry[v] = 1.0f - (taps[v].is_source ? wet_ramp[i] : share[v]);
        }
        for (uint32_t c = 0; c < m->config.out_channels; c++) {
            const float a = dry[0] * dry_at(m, c, m->dry_at + i - taps[0].delay) + share[0] * m->wet[0][c][i];
            float y = a;
            if (cross > 0.0f) {
                const float b = dry[1] * dry_at(m, c, m->dry_at + i - taps[1].delay) + share[1] * m->wet[1][c][i];
                y = a + cross * (b - a);
            }
            out[c][i] = y * level[i];
        }
    }
    m->dry_at += block;
}

/* First order, 5 Hz. */
static void block_dc(tudor_module *m, uint32_t c, float *x) {
    float before = m->dc_x[c], y = m->dc_y[c];
    for (uint32_t i = 0; i < m->config.block_samples; i++) {
        const float now = clamped(x[i], -64.0f, 64.0f);
        y = flushed((now - before) + m->dc_keep * y);
        before = now;
        x[i] = y;
    }
    m->dc_x[c] = before;
    m->dc_y[c] = y;
}

/* The gain that a peak needs, rounded down. */
static uint32_t gain_for(float peak, float ceiling) {
    return peak <= ceiling ? ONE : (uint32_t)(ceiling / peak * 16777216.0f);
}

/* One sample's gain. A peak's gain is held as long as the limiter looks ahead, then comes back slowly; the mean over
 * the same time is a line down to it that arrives with the peak, and never above what any sample needs. Integers, so
 * that the running sum is exact for ever. */
static uint32_t limiter_gain(struct limiter *l, uint32_t wanted) {
    uint32_t least = ONE;
    l->wanted[l->at] = wanted;
    if (wanted != ONE || l->lowest_left)
        for (uint32_t k = 0; k < l->length; k++)
            if (l->wanted[k] < least) least = l->wanted[k];
    l->lowest_left = wanted != ONE ? l->length : l->lowest_left ? l->lowest_left - 1 : 0;
    const uint32_t released = l->gain + l->step;
    l->gain = released < least ? released : least;
    l->sum += l->gain - l->held[l->at];
    l->held[l->at] = l->gain;
    return l->sum / l->length;
}

static void limit(tudor_module *m, float *const *out) {
    struct limiter *const l = &m->limiter;
    const float ceiling = m->config.ceiling;
    l->lowest = ONE;
    for (uint32_t i = 0; i < m->config.block_samples; i++) {
        float peak = 0.0f;
        for (uint32_t c = 0; c < m->config.out_channels; c++)
            if (magnitude(out[c][i]) > peak) peak = magnitude(out[c][i]);
        const uint32_t gain = limiter_gain(l, gain_for(peak, ceiling)), oldest = (l->at + 1) & (l->length - 1);
        if (gain < l->lowest) l->lowest = gain;
        const float factor = (float)gain * 0x1p-24f;
        for (uint32_t c = 0; c < m->config.out_channels; c++) {
            l->delay[c][l->at] = out[c][i];
            out[c][i] = clamped(l->delay[c][oldest] * factor, -ceiling, ceiling); /* one rounding at most */
        }
        l->at = oldest;
    }
}

void output_block(tudor_module *m, float *const *out) {
    const float decay = 1.0f - (float)m->config.block_samples / ((float)m->config.block_samples + 0.1f *
                                                                  (float)m->config.sample_rate_hz);
    for (uint32_t c = 0; c < m->config.out_channels; c++) block_dc(m, c, out[c]);
    limit(m, out);
    float peak = 0.0f;
    for (uint32_t c = 0; c < m->config.out_channels; c++)
        for (uint32_t i = 0; i < m->config.block_samples; i++)
            if (magnitude(out[c][i]) > peak) peak = magnitude(out[c][i]);
    m->out_peak = peak;
    m->envelope = flushed(peak > m->envelope * decay ? peak : m->envelope * decay);
}
