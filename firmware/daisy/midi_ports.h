// MIDI on a Daisy: a UART's receiver (DIN or TRS) and USB, each with a lane of its own. By USB the board answers,
// too, from the main loop: the audio's interrupt never waits for a computer.
#pragma once
#include "hid/usb_midi.h"
#include "midi_in.h"
#include "per/uart.h"
#include "places.h"
#include "report.h"

class MidiPorts
{
  public:
    // After rig_start, before the audio.
    void Start(const rig& instrument, daisy::UartHandler::Config::Peripheral uart, daisy::Pin receiver)
    {
        rig_    = &instrument;
        wire_.m = usb_.m = instrument.m;
        wire_.lane = RIG_LANE_WIRE, usb_.lane = RIG_LANE_USB;
        daisy::UartHandler::Config config;
        config.periph        = uart;
        config.baudrate      = 31250;
        config.stopbits      = daisy::UartHandler::Config::StopBits::BITS_1;
        config.parity        = daisy::UartHandler::Config::Parity::NONE;
        config.mode          = daisy::UartHandler::Config::Mode::RX; // no pin is taken to send
        config.wordlength    = daisy::UartHandler::Config::WordLength::BITS_8;
        config.pin_config.rx = receiver;
        config.pin_config.tx = daisy::Pin();
        has_wire_ = uart_.Init(config) == daisy::UartHandler::Result::OK;
        daisy::MidiUsbTransport::Config over_usb;
        over_usb.periph = daisy::MidiUsbTransport::Config::INTERNAL;
        usb_port_.Init(over_usb);
        Attend();
    }

    // Now and then: both stop listening after an error, such as a byte that came broken.
    void Attend()
    {
        if(has_wire_ && !uart_.IsListening())
            uart_.DmaListenStart(Buffer(), kBytes, FromWire, this);
        if(!usb_port_.RxActive())
            usb_port_.StartRx(FromUsb, this);
        if(midi_in_asked(&usb_)) // by USB, so it is there to be answered
            Answer();
    }

  private:
    // libDaisy's own Tx waits, ends such messages twice, and brings a USB host along. While something is being sent
    // nothing is answered: who asked asks again.
    void Answer()
    {
        static uint8_t     answer[REPORT_BYTES], packets[REPORT_PACKETS_BYTES];
        const report_stack stack = {places_stack_deepest(), PLACES_STACK_BYTES};
        const size_t       bytes = report_answer(rig_, &stack, answer);
        usb_device_.TransmitInternal(packets, report_packets(answer, bytes, packets));
    }

    static constexpr size_t kBytes = 64; // half of it is 10 ms

    static uint8_t* Buffer()
    {
        static uint8_t DMA_BUFFER_MEM_SECTION bytes[kBytes];
        return bytes;
    }
    static void FromWire(uint8_t* bytes, size_t count, void* self, daisy::UartHandler::Result result)
    {
        if(result == daisy::UartHandler::Result::OK)
            midi_in_bytes(bytes, count, &static_cast<MidiPorts*>(self)->wire_);
    }
    static void FromUsb(uint8_t* bytes, size_t count, void* self)
    {
        midi_in_bytes(bytes, count, &static_cast<MidiPorts*>(self)->usb_);
    }

    daisy::UartHandler      uart_;
    daisy::MidiUsbTransport usb_port_;
    daisy::UsbHandle        usb_device_; // has no members: the same device
    const rig*              rig_ = nullptr;
    midi_in                 wire_ = {}, usb_ = {};
    bool                    has_wire_ = false;
};
