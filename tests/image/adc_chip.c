// SPDX-License-Identifier: GPL-2.0
/* An MCP3208 for the emulated kernel, at a controller of its own: the kernel's spidev makes /dev/spidev0.0 of it, as on a
 * Raspberry Pi. Its eight inputs read what is written to the parameter `level`, from 0 to 4095. */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/spi/spi.h>

#define INPUTS 8

static ushort level[INPUTS];
module_param_array(level, ushort, NULL, 0600);

static struct platform_device *place;
static struct spi_controller *controller;

/* Seven bits of nothing but the start bit and "single-ended", three of the input; twelve come back in the last two bytes.
 * What is asked otherwise reads as all ones. */
static int transfer_one(struct spi_controller *c, struct spi_device *device, struct spi_transfer *transfer)
{
	const u8 *out = transfer->tx_buf;
	u8 *in = transfer->rx_buf;
	u16 value = 0xfff;

	if (transfer->len != 3 || !out || !in)
		return -EINVAL;
	if ((out[0] & 0xfe) == 0x06)
		value = READ_ONCE(level[(out[0] & 1) << 2 | out[1] >> 6]) & 0xfff;
	in[0] = 0;
	in[1] = value >> 8;
	in[2] = value & 0xff;
	return 0;
}

static int __init start(void)
{
	/* A chip that spidev takes: it refuses those that only name it. */
	struct spi_board_info chip = { .modalias = "dh2228fv", .max_speed_hz = 2000000, .mode = SPI_MODE_0 };
	int error;

	place = platform_device_register_simple("adc_chip", -1, NULL, 0);
	if (IS_ERR(place))
		return PTR_ERR(place);
	controller = spi_alloc_master(&place->dev, 0);
	if (!controller) {
		platform_device_unregister(place);
		return -ENOMEM;
	}
	controller->bus_num = 0;
	controller->num_chipselect = 1;
	controller->mode_bits = SPI_MODE_0;
	controller->transfer_one = transfer_one;
	error = spi_register_controller(controller);
	if (error) {
		spi_controller_put(controller);
		platform_device_unregister(place);
		return error;
	}
	return spi_new_device(controller, &chip) ? 0 : -ENODEV;
}

module_init(start);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("An MCP3208 on SPI, for tests");
