/* Draws that are known beforehand: a loop reads back a given sound instead of what it would draw.
 *
 *     net -> draw -> gate --+--> table --> out        the draw becomes what `out` must have been made of, the gate lets it
 *      ^                    |                         through, and the rest runs as always: state and counter of noise
 *      +----- a row late ---+                         are those of a stream that drew all this by itself */
#include "internal.h"

#ifdef TUDOR_NO_FORCE

int tudor_force(tudor *t, int method, const float *out, float *drawn, uint32_t samples) {
    (void)drawn;
    const int error = tudor_check_call(t, method, out, out, samples);
    return error ? error : TUDOR_ERROR_UNSUPPORTED;
}

#else

#include "random.h"

static int is_draw(const struct format_op *op) { return op->kind == OP_CATEGORICAL || op->kind == OP_LOGISTIC_MIXTURE; }
static int is_gate(const struct format_op *op) { return op->kind == OP_MUL || op->kind == OP_ADD; }

static int same(const struct format_value *a, const struct format_value *b) {
    return a->buffer == b->buffer && a->first_channel == b->first_channel && a->channels == b->channels &&
           a->delay == b->delay;
}

/* How the output of a method follows from its draws; not zero if that is not known. */
static int find(const tudor_model *model, const struct format_method *m, struct forced *f) {
    const struct format_op *ops = ops_of(model, m), *last;
    const struct format_value *values = values_of(model, m), *output = &values[m->output_value];
    const uint32_t end = m->loop_first + loop_ops(m);
    uint32_t draw = end;
    while (draw > m->loop_first && !is_draw(&ops[draw - 1])) draw--;
    if (draw == m->loop_first) return 1;
    f->draw = draw - 1;
    last = &ops[f->draw];
    for (uint32_t i = draw; i < end; i++)
        if (is_gate(&ops[i])) last = &ops[i];
    f->table = 0;
    for (uint32_t i = end; i < m->ops_count; i++)
        if (ops[i].kind == OP_EMBED && same(&values[ops[i].out], output)) f->table = &ops[i];
    const struct format_buffer *drawn = &buffers_of(model, m)[values[last->out].buffer];
    if ((uint64_t)drawn->rows * m->out_ratio != m->frame_samples) return 1;
    return !same(&values[last->out], f->table ? &values[f->table->in_a] : output);
}

int tudor_force(tudor *t, int method, const float *out, float *drawn, uint32_t samples) {
    const int error = tudor_check_call(t, method, out, out, samples);
    if (error) return error;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    const struct format_method *m = method_of(&t->model, (uint32_t)method);
    struct forced f = {.out = out, .drawn = drawn, .method = method, .samples = samples, .rows = samples / m->out_ratio};
    if (find(&t->model, m, &f)) return TUDOR_ERROR_DRAWS;
    t->forced = f;
    return 0;
}

static float bounded(float x) { return x >= -0x1.fffffep127f && x <= 0x1.fffffep127f ? x : 0.0f; }

/* The row of a table that is nearest to a row of the output; of equal ones the first. */
static uint32_t nearest(const float *table, uint32_t count, uint32_t channels, const float *out, uint32_t rows) {
    uint32_t found = 0;
    float least = 0.0f;
    for (uint32_t i = 0; i < count; i++, table += channels) {
        float apart = 0.0f;
        for (uint32_t c = 0; c < channels; c++) {
            const float difference = bounded(out[(size_t)c * rows]) - table[c];
            apart += difference < 0.0f ? -difference : difference;
        }
        if (i && !(apart < least)) continue;
        found = i;
        least = apart;
    }
    return found;
}

/* What an op can draw. */
static float drawable(const struct format_op *op, float x, uint32_t classes) {
    const float most = (float)(classes - 1);
    if (op->kind == OP_CATEGORICAL) return x >= 0.5f ? (float)(uint32_t)((x < most ? x : most) + 0.5f) : 0.0f;
    if (x > op->slope) return op->slope;
    if (x < -op->slope) return -op->slope;
    return x < 0x1p-60f && x > -0x1p-60f && x != 0.0f ? 0.0f : x; /* 0 keeps its sign, as gates give it one */
}

/* The rows that draws number: `width` numbers each. */
struct table {
    const float *rows;
    uint32_t count, width;
};

static struct table table_of(const struct play *p) {
    const struct format_op *op = p->t->forced.table;
    struct table table = {0, 0, 0};
    if (!op) return table;
    table.rows = weights_at(&p->t->model, op->weights);
    table.width = p->values[op->out].channels;
    table.count = op->weights_bytes / ((uint32_t)sizeof(float) * table.width);
    return table;
}

/* Draws [channels] as output, whose channels lie `apart`. */
static void put(const struct table *table, const float *y, uint32_t channels, float *out, size_t apart) {
    if (!table->rows) {
        for (uint32_t c = 0; c < channels; c++) out[c * apart] = y[c];
        return;
    }
    const uint32_t number = y[0] < (float)table->count ? (uint32_t)y[0] : table->count - 1;
    for (uint32_t c = 0; c < table->width; c++) out[c * apart] = table->rows[(size_t)number * table->width + c];
}

void tudor_forced_draw(const struct play *p, const struct format_op *op, const struct map_args *a) {
    const struct forced *f = &p->t->forced;
    const struct table table = table_of(p);
    const uint32_t classes = p->values[op->in_a].channels / a->channels;
    float *const counter = p->words + op->state;
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *out = p->forced + p->step + r;
        float *y = (float *)a->y.data + r * a->y.row;
        if (f->drawn) put(&table, y, a->channels, f->drawn + (out - f->out), f->rows);
        for (uint32_t c = 0; c < a->channels; c++) {
            const float x = table.rows ? (float)nearest(table.rows, table.count, table.width, out, f->rows)
                                       : bounded(out[(size_t)c * f->rows]);
            y[c] = drawable(op, x, classes);
        }
    }
    if (!f->drawn) counter_write(counter, counter_read(counter) + a->rows); /* as if it had drawn */
}

int tudor_opens_gate(const struct play *p, const struct format_op *op) {
    const uint32_t index = (uint32_t)(op - p->first_op);
    return p->forced && index > p->t->forced.draw && in_loop(p->method, index);
}

#endif
