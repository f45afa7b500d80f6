#include "words.h"

#include "platform.h"

void print_number(uint64_t value) {
    char text[24];
    uint32_t at = sizeof text - 1;
    text[at] = 0;
    do text[--at] = (char)('0' + (int)(value % 10));
    while (value /= 10);
    platform_print(text + at);
}

void print_fact(const char *name, uint64_t value) {
    platform_print(name);
    platform_print(" ");
    print_number(value);
    platform_print("\n");
}

uint32_t read_number(const char **text) {
    uint32_t value = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) value = value * 10 + (uint32_t)(**text - '0');
    return value;
}
