// SPDX-License-Identifier: GPL-2.0
/* A GPIO chip for the emulated kernel, since Debian's has no gpio-sim: 54 lines as a Raspberry Pi's, which cannot
 * debounce either. Write "LINE LENGTH_US" to the parameter `pulse`: the line goes low, and high again after that time.
 * "LINE LENGTH_US PERIOD_US COUNT" makes several, as a clock does. Reading it gives the nanoseconds of CLOCK_MONOTONIC at which both last happened; 0: not yet. `levels` gives all lines as a
 * number in hex, with what outputs were set to. */
#include <linux/gpio/driver.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irqdomain.h>
#include <linux/module.h>

#define LINES 54

static unsigned long long levels = (1ull << LINES) - 1;
static unsigned long long fell_ns, rose_ns;
static unsigned int line, length_us, period_us, left;
static struct hrtimer timer;
static struct gpio_chip chip;

static int get(struct gpio_chip *c, unsigned int offset) { return READ_ONCE(levels) >> offset & 1; }
static int get_direction(struct gpio_chip *c, unsigned int offset) { return GPIO_LINE_DIRECTION_IN; }
static int direction_input(struct gpio_chip *c, unsigned int offset) { return 0; }

static void set(struct gpio_chip *c, unsigned int offset, int value)
{
	if (value)
		levels |= 1ull << offset;
	else
		levels &= ~(1ull << offset);
}

static int direction_output(struct gpio_chip *c, unsigned int offset, int value)
{
	set(c, offset, value);
	return 0;
}

static int set_type(struct irq_data *data, unsigned int type) { return 0; }
static void nothing(struct irq_data *data) {}

static const struct irq_chip edges = {
	.name = "pinctrl-bcm-sim",
	.irq_ack = nothing,
	.irq_mask = nothing,
	.irq_unmask = nothing,
	.irq_set_type = set_type,
	.flags = IRQCHIP_IMMUTABLE,
	GPIOCHIP_IRQ_RESOURCE_HELPERS,
};

/* Each edge as hardware brings it: in the interrupt, the level already what it became. */
static enum hrtimer_restart step(struct hrtimer *t)
{
	const int falls = levels >> line & 1;

	if (falls) {
		levels &= ~(1ull << line);
		fell_ns = ktime_get_ns();
	} else {
		levels |= 1ull << line;
		rose_ns = ktime_get_ns();
	}
	generic_handle_domain_irq(chip.irq.domain, line);
	if (!falls && !--left)
		return HRTIMER_NORESTART;
	hrtimer_forward(t, hrtimer_get_expires(t), ns_to_ktime(1000ull * (falls ? length_us : period_us - length_us)));
	return HRTIMER_RESTART;
}

static int pulse_set(const char *text, const struct kernel_param *param)
{
	const int words = sscanf(text, "%u %u %u %u", &line, &length_us, &period_us, &left);

	if (words == 2) {
		period_us = length_us + 1;
		left = 1;
	}
	if ((words != 2 && words != 4) || line >= LINES || !length_us || period_us <= length_us || !left)
		return -EINVAL;
	fell_ns = rose_ns = 0;
	hrtimer_start(&timer, ns_to_ktime(1000000), HRTIMER_MODE_REL_HARD);
	return 0;
}

static int pulse_get(char *text, const struct kernel_param *param)
{
	return sprintf(text, "%llu %llu\n", READ_ONCE(fell_ns), READ_ONCE(rose_ns));
}

static const struct kernel_param_ops pulse_ops = { .set = pulse_set, .get = pulse_get };
module_param_cb(pulse, &pulse_ops, NULL, 0600);

static int levels_get(char *text, const struct kernel_param *param)
{
	return sprintf(text, "%llx\n", READ_ONCE(levels));
}

static const struct kernel_param_ops levels_ops = { .get = levels_get };
module_param_cb(levels, &levels_ops, NULL, 0400);

static int __init start(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	timer.function = step;
	chip.label = "pinctrl-bcm-sim";
	chip.owner = THIS_MODULE;
	chip.base = -1;
	chip.ngpio = LINES;
	chip.get = get;
	chip.get_direction = get_direction;
	chip.direction_input = direction_input;
	chip.direction_output = direction_output;
	chip.set = set;
	gpio_irq_chip_set_chip(&chip.irq, &edges);
	chip.irq.handler = handle_simple_irq;
	chip.irq.default_type = IRQ_TYPE_NONE;
	return gpiochip_add_data(&chip, NULL);
}

static void __exit stop(void)
{
	hrtimer_cancel(&timer);
	gpiochip_remove(&chip);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Pulses on GPIO lines, for tests");
