// Runs whose decisions are made on the device, asked step by step and as launches of one graph.
#include "../../native/math/sada_step.h"
#include "on_device.h"

namespace on_device {
namespace {

using namespace sada;

constexpr int kSteps = 12;

// Flow matching on even levels, with a network that gives the clean sample itself.
std::vector<SolverStep> levels_of() {
  std::vector<SolverStep> levels(kSteps + 1);
  for (int k = 0; k <= kSteps; ++k) {
    SolverStep& at = levels[static_cast<size_t>(k)];
    at.level = at.time = 1.0 - k / static_cast<double>(kSteps), at.usual_error = 0.01;
    if (k == kSteps) break;
    const double next = 1.0 - (k + 1) / static_cast<double>(kSteps);
    at.denoised = named(Name::kOutput, 1.0);
    add(at.update, Name::kX, next / at.time), add(at.update, Name::kX0, 1.0 - next / at.time);
    add(at.velocity, Name::kX, 1.0 / at.time), add(at.velocity, Name::kX0, -1.0 / at.time);
    at.input_scale = 0.5f, at.input_level = static_cast<float>(at.level);
  }
  return levels;
}

SadaOptions lenient() {
  SadaOptions options;
  options.tolerance = 1e30, options.unstable = 1.0, options.memory = 0.3, options.slope = 0.4;
  options.warmup = 3, options.tail = 1, options.max_consecutive = 5;
  return options;
}

// A run of one element, whose network copies `answer`.
class Run {
 public:
  Run(const SadaOptions& options, float answer, float state = 1.0f) : cancelled(1), levels_(levels_of()), memory_(14 * 256), answer_(&answer, 4) {
    char* at = memory_.data();
    for (float*& buffer : request_.buffer) buffer = reinterpret_cast<float*>(at), at += 256;
    check(table().upload(device(), request_.buffer[0], &state, 4), "upload");
    request_.options = options, request_.output = named(Name::kCond, 1.0);
    request_.levels = levels_.data(), request_.steps = kSteps, request_.length = 1;
    cond_ = reinterpret_cast<float*>(at), request_.cond = cond_;
    request_.sample[0] = reinterpret_cast<float*>(at += 256), request_.level = reinterpret_cast<float*>(at += 256), request_.rows = 1;
    *flag() = 0;
    request_.cancelled = flag();
    check(table().sada_create(device(), &request_, &run_), "create");
  }
  Run(const Run&) = delete;
  ~Run() {
    table().release_graph(device(), graph_);
    table().sada_destroy(device(), run_);
  }

  void ask() {
    check(table().sada_before(device(), run_, false), "before");
    if (report()[1] != 0.0) pass();
    check(table().sada_after(device(), run_, &graph_), "after");
  }
  void launch() {
    if (graph_ == nullptr) {
      check(table().sada_before(device(), run_, true), "before");
      pass();
      check(table().sada_after(device(), run_, &graph_), "after");
    }
    check(table().launch(device(), graph_), "launch");
  }
  std::vector<double> report() const {
    std::vector<double> numbers(kSadaHeader + kSadaRecord * kSteps);
    check(table().sada_report(device(), run_, numbers.data(), static_cast<int64_t>(numbers.size())), "report");
    check(table().synchronize(device()), "synchronize");
    return numbers;
  }
  float state() const {
    float value;
    check(table().download(device(), &value, request_.buffer[static_cast<int>(report()[3])], 4), "download");
    check(table().synchronize(device()), "synchronize");
    return value;
  }
  int32_t* flag() { return reinterpret_cast<int32_t*>(cancelled.data()); }

  Pinned cancelled;

 private:
  void pass() { check(table().copy(device(), cond_, answer_.data(), 4), "copy"); }

  std::vector<SolverStep> levels_;
  Memory memory_, answer_;
  DeviceSada request_;
  float* cond_ = nullptr;
  DeviceSadaRun* run_ = nullptr;
  DeviceGraph* graph_ = nullptr;
};

// 1 of each step that was skipped.
std::string actions(const std::vector<double>& report) {
  std::string text;
  for (int k = 0; k < static_cast<int>(report[0]); ++k) text += report[static_cast<size_t>(kSadaHeader + kSadaRecord * k)] != 0.0 ? '1' : '0';
  return text;
}

}  // namespace

void sada_cases() {
  cases::test("asked and launched runs are the same, and end where the last clean sample is", [] {
    Run asked(lenient(), 0.25f), launched(lenient(), 0.25f);
    for (int k = 0; k < kSteps + 2; ++k) asked.ask(), launched.launch();  // two too many do nothing
    const std::vector<double> wanted = asked.report(), got = launched.report();
    expect_same(got.data(), wanted.data(), static_cast<int64_t>(got.size()), "report");
    cases::expect(actions(got).find('1') != std::string::npos, actions(got));
    cases::expect(asked.state() == 0.25f && launched.state() == 0.25f, "state");
  });
  cases::test("a skip that is not finite is not taken: the next attempt computes its step", [] {
    SadaOptions options = lenient();
    // Over equal samples the prediction at gap g has the weights 1 + r and -r with r = 2e38 g: finite in float32 at 1, infinite at 2.
    options.slope = 2e38;
    Run asked(options, 1.0f), launched(options, 1.0f);
    for (int k = 0; k < 6; ++k) asked.ask(), launched.launch();
    cases::expect(actions(asked.report()) == "00010", actions(asked.report()));  // five steps in six attempts
    const std::vector<double> wanted = asked.report(), got = launched.report();
    expect_same(got.data(), wanted.data(), static_cast<int64_t>(got.size()), "report");
  });
  cases::test("an answer that is not finite ends the run where it is", [] {
    for (const bool is_launched : {false, true}) {
      Run run(lenient(), NAN);
      for (int k = 0; k < 3; ++k) is_launched ? run.launch() : run.ask();
      cases::expect(run.report()[0] == 0.0 && run.report()[2] == 1.0, "report");
    }
  });
  cases::test("a cancelled run makes no more steps", [] {
    Run run(lenient(), 0.5f);
    for (int k = 0; k < 4; ++k) run.launch();
    check(table().synchronize(device()), "synchronize");
    *run.flag() = 1;
    for (int k = 0; k < 4; ++k) run.launch();
    cases::expect(run.report()[0] == 4.0, std::to_string(run.report()[0]));
  });
}

}  // namespace on_device
