// Plays a .ts as nn~ does, with the LibTorch that it was linked with, no Python about.
//   play FILE METHOD BATCH CHANNELS FRAMES BLOCKS IN OUT [ATTRIBUTE VALUE... [, ATTRIBUTE VALUE...]]
#include <torch/script.h>
#include <torch/version.h>

#include <fstream>
#include <iostream>

static void set(torch::jit::Module &m, const std::vector<std::string> &words) {
    const auto codes = m.attr(words[0] + "_params").toTensor();
    std::vector<c10::IValue> values;
    for (int64_t i = 0; i < codes.numel(); i++) {
        const double number = std::stod(words.at((size_t)i + 1));
        if (codes[i].item().toInt() == 1)
            values.emplace_back((int64_t)number);
        else
            values.emplace_back(number);
    }
    try {
        if (m.get_method("set_" + words[0])(values).toInt() != 0) std::cout << "refused without a word\n";
    } catch (const std::exception &e) {
        std::cout << e.what() << "\n";
    }
}

int main(int argc, char **argv) {
    if (argc < 9) return 2;
    torch::jit::Module m = torch::jit::load(argv[1]);
    m.eval();
    std::cout << TORCH_VERSION << "\n";
    std::vector<std::string> words;
    for (int i = 9; i < argc; i++) {
        const std::string word = argv[i];
        if (word != ",") words.push_back(word);
        if ((word == "," || i + 1 == argc) && !words.empty()) {
            set(m, words);
            words.clear();
        }
    }
    const int64_t batch = atol(argv[3]), channels = atol(argv[4]), frames = atol(argv[5]);
    std::ifstream in(argv[7], std::ios::binary);
    std::ofstream out(argv[8], std::ios::binary);
    std::vector<float> x((size_t)(batch * channels * frames));
    for (int64_t b = atol(argv[6]); b > 0; b--) {
        in.read((char *)x.data(), (std::streamsize)(x.size() * sizeof(float)));
        c10::InferenceMode guard;
        const auto y = m.get_method(argv[2])({torch::from_blob(x.data(), {batch, channels, frames})})
                           .toTensor().contiguous();
        out.write((const char *)y.data_ptr<float>(), (std::streamsize)(y.numel() * (int64_t)sizeof(float)));
    }
    return 0;
}
