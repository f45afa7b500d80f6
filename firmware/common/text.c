/* Words and numbers of mapping and calibration files, and sentences about what is wrong with them. No stdio: bare
 * metal has none. */
#include "instrument.h"

#define LINE_LIMIT 200u

void say(struct sentence *s, const char *text) {
    while (*text && s->at + 1 < s->size) s->text[s->at++] = *text++;
    if (s->size) s->text[s->at] = 0;
}

void say_part(struct sentence *s, const char *text, size_t length) {
    char shown[41];
    size_t i = 0;
    for (; i < length && i + 1 < sizeof shown; i++) shown[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    shown[i] = 0;
    say(s, "'");
    say(s, shown);
    say(s, i < length ? "...'" : "'");
}

void say_number(struct sentence *s, uint64_t value) {
    char text[24];
    size_t at = sizeof text - 1;
    text[at] = 0;
    do text[--at] = (char)('0' + (int)(value % 10));
    while (value /= 10);
    say(s, text + at);
}

int complain(module_complaint *why, int code, uint32_t line, const char *text, const char *part, size_t length,
             const char *rest) {
    if (!why) return code;
    struct sentence s = {why->text, sizeof why->text, 0};
    why->code = code;
    why->line = line;
    why->text[0] = 0;
    if (line) {
        say(&s, "line ");
        say_number(&s, line);
        say(&s, ": ");
    }
    say(&s, text);
    if (part) say_part(&s, part, length);
    if (rest) say(&s, rest);
    return code;
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Cuts the next line that has words in it. */
int next_line(struct lines *l, module_complaint *why) {
    if (l->number == 0 && l->end - l->at >= 3 && memcmp(l->at, "\xEF\xBB\xBF", 3) == 0)
        l->at += 3; /* some editors begin a text with a mark (UTF-8's) */
    while (l->at < l->end) {
        const char *const begin = l->at;
        const char *end = begin;
        while (end < l->end && *end != '\n') end++;
        l->at = end < l->end ? end + 1 : end;
        l->number++;
        l->count = 0;
        if ((size_t)(end - begin) > LINE_LIMIT)
            return -complain(why, MODULE_ERROR_TEXT, l->number, "is longer than 200 characters", 0, 0, 0);
        for (const char *at = begin; at < end && *at != '#';) {
            if (is_space(*at)) {
                at++;
                continue;
            }
            const char *const word = at;
            while (at < end && !is_space(*at) && *at != '#') at++;
            if (l->count == LINE_WORDS)
                return -complain(why, MODULE_ERROR_TEXT, l->number, "has more than 12 words", 0, 0, 0);
            l->words[l->count++] = (struct word){word, (size_t)(at - word)};
        }
        if (l->count) return 1;
    }
    return 0;
}

int is_word(struct word word, const char *text) {
    return strlen(text) == word.length && memcmp(word.text, text, word.length) == 0;
}

/* [+-]digits[.digits], up to a million, the same bits everywhere: an integer over a power of ten, in double. */
int read_float(struct word word, float *value) {
    size_t i = 0, digits = 0;
    const int negative = word.length && word.text[0] == '-';
    if (word.length && (negative || word.text[0] == '+')) i++;
    double mantissa = 0, scale = 1;
    int fraction = 0;
    for (; i < word.length; i++) {
        const char c = word.text[i];
        if (c == '.' && !fraction) {
            fraction = 1;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > 15) return 0;
        mantissa = mantissa * 10.0 + (double)(c - '0');
        if (fraction) scale *= 10.0;
    }
    const double result = mantissa / scale;
    if (digits == 0 || result > 1e6) return 0;
    *value = (float)(negative ? -result : result);
    return 1;
}

/* "knob3" with prefix "knob": the number behind it, first to first + count - 1, as an index from 0. */
int read_index(struct word word, const char *prefix, uint32_t first, uint32_t count, uint32_t *index) {
    const size_t length = strlen(prefix);
    uint32_t number = 0;
    if (word.length <= length || word.length > length + 5 || memcmp(word.text, prefix, length) != 0) return 0;
    for (size_t i = length; i < word.length; i++) {
        if (word.text[i] < '0' || word.text[i] > '9') return 0;
        number = number * 10 + (uint32_t)(word.text[i] - '0');
    }
    if (number < first || number - first >= count) return 0;
    *index = number - first;
    return 1;
}

/* "key=value" */
int has_key(struct word word, const char *key, struct word *value) {
    const size_t length = strlen(key);
    if (word.length <= length || memcmp(word.text, key, length) != 0 || word.text[length] != '=') return 0;
    *value = (struct word){word.text + length + 1, word.length - length - 1};
    return 1;
}
