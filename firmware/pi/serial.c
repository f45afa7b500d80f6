#include "serial.h"

#include <asm/termbits.h> /* any speed, which <termios.h> does not know */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BELOW_AUDIO 10 /* as the gates: a clock may not wait for anybody but the sound */
#define IDLE_MS 200

int serial_open(const char *path, int baud) {
    const int file = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return -errno;
    struct termios2 line = {.c_iflag = IGNBRK | IGNPAR, /* a byte that came broken is left out */
                            .c_cflag = CS8 | CREAD | CLOCAL | BOTHER,
                            .c_ispeed = (speed_t)baud, .c_ospeed = (speed_t)baud};
    line.c_cc[VMIN] = 1;
    if (ioctl(file, TCSETS2, &line) == 0) return file;
    const int error = errno;
    close(file);
    return -error;
}

void *serial_thread(void *context) {
    struct controls *const c = context;
    module_midi parser = {0};
    const struct sched_param urgency = {.sched_priority = c->settings->priority - BELOW_AUDIO};
    prctl(PR_SET_NAME, "tudor-serial");
    if (urgency.sched_priority > 0) sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &urgency);
    while (!c->stop) {
        struct pollfd wait = {.fd = c->serial, .events = POLLIN};
        unsigned char bytes[64];
        if (poll(&wait, 1, IDLE_MS) <= 0) continue;
        const ssize_t count = read(c->serial, bytes, sizeof bytes);
        if (count > 0)
            controls_midi_bytes(c, LANE_SERIAL, &parser, bytes, count);
        else
            usleep(IDLE_MS * 1000); /* it was unplugged */
    }
    return 0;
}
