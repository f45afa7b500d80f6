/* The functions of libasound that are used, found when the program starts.
 *
 * They are looked up rather than linked, so that the program can be cross-compiled with ALSA's headers alone: a
 * machine that flashes cards need not have an arm64 library. dlsym gives the newest version of each, which linking
 * against the library would give too. */
#ifndef TUDOR_PI_ALSA_API_H
#define TUDOR_PI_ALSA_API_H

#include <alsa/asoundlib.h>

#define ALSA_FUNCTIONS(F) \
    F(snd_strerror) F(snd_pcm_open) F(snd_pcm_close) F(snd_pcm_prepare) F(snd_pcm_start) F(snd_pcm_drop) \
    F(snd_pcm_link) F(snd_pcm_wait) F(snd_pcm_avail_update) F(snd_pcm_mmap_begin) F(snd_pcm_mmap_commit) \
    F(snd_pcm_state) F(snd_pcm_hw_params_sizeof) F(snd_pcm_hw_params_any) F(snd_pcm_hw_params) \
    F(snd_pcm_hw_params_set_access) F(snd_pcm_hw_params_set_format) F(snd_pcm_hw_params_test_format) \
    F(snd_pcm_hw_params_set_channels_near) F(snd_pcm_hw_params_set_rate_near) \
    F(snd_pcm_hw_params_set_rate_resample) F(snd_pcm_hw_params_set_period_size_near) \
    F(snd_pcm_hw_params_set_periods_near) F(snd_pcm_hw_params_get_buffer_size) F(snd_pcm_sw_params_sizeof) \
    F(snd_pcm_sw_params_current) F(snd_pcm_sw_params_set_avail_min) F(snd_pcm_sw_params_set_start_threshold) \
    F(snd_pcm_sw_params) F(snd_card_next) F(snd_ctl_open) F(snd_ctl_close) \
    F(snd_ctl_card_info_sizeof) F(snd_ctl_card_info) F(snd_ctl_card_info_get_id) F(snd_ctl_card_info_get_name) \
    F(snd_ctl_pcm_next_device) \
    F(snd_ctl_pcm_info) F(snd_pcm_info_sizeof) F(snd_pcm_info_set_device) F(snd_pcm_info_set_subdevice) \
    F(snd_pcm_info_set_stream) \
    F(snd_seq_open) F(snd_seq_close) F(snd_seq_set_client_name) F(snd_seq_create_simple_port) \
    F(snd_seq_connect_from) F(snd_seq_event_input) F(snd_seq_poll_descriptors) F(snd_seq_client_id) \
    F(snd_seq_client_info_sizeof) F(snd_seq_client_info_set_client) F(snd_seq_client_info_get_client) \
    F(snd_seq_query_next_client) F(snd_seq_port_info_sizeof) F(snd_seq_port_info_set_client) \
    F(snd_seq_port_info_set_port) F(snd_seq_port_info_get_port) F(snd_seq_port_info_get_capability) \
    F(snd_seq_query_next_port) F(snd_midi_event_new) F(snd_midi_event_decode) F(snd_midi_event_no_status)

struct alsa_api {
#define POINTER(name) __typeof__(name) *name;
    ALSA_FUNCTIONS(POINTER)
#undef POINTER
};

/* 0, or a sentence that says what is missing. */
const char *alsa_load(struct alsa_api *api);

#endif
