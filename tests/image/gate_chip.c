// SPDX-License-Identifier: GPL-2.0
/* A GPIO chip for the emulated kernel, since Debian's has no gpio-sim: 54 lines as a Raspberry Pi's, which cannot
 * debounce either. Write "LINE LENGTH_US" to the parameter `pulse`: the line goes low, and high again after that time.
 * Reading it gives the nanoseconds of CLOCK_MONOTONIC at which both happened; 0: not yet. */
#include <linux/gpio/driver.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irqdomain.h>
#include <linux/module.h>

#define LINES 54

static unsigned long long levels = (1ull << LINES) - 1;
static unsigned long long fell_ns, rose_ns;
static unsigned int line, length_us;
static struct hrtimer timer;
static struct gpio_chip chip;

static int get(struct gpio_chip *c, unsigned int offset) { return READ_ONCE(levels) >> offset & 1; }
static int get_direction(struct gpio_chip *c, unsigned int offset) { return GPIO_LINE_DIRECTION_IN; }
static int direction_input(struct gpio_chip *c, unsigned int offset) { return 0; }

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
	const int falls = !fell_ns;

	if (falls) {
		levels &= ~(1ull << line);
		fell_ns = ktime_get_ns();
	} else {
		levels |= 1ull << line;
		rose_ns = ktime_get_ns();
	}
	generic_handle_domain_irq(chip.irq.domain, line);
	if (!falls)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(t, ns_to_ktime((u64)length_us * 1000));
	return HRTIMER_RESTART;
}

static int pulse_set(const char *text, const struct kernel_param *param)
{
	if (sscanf(text, "%u %u", &line, &length_us) != 2 || line >= LINES || !length_us)
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
