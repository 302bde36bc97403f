// Runs whose decisions are made on the device, asked step by step and as launches of one graph.
#include "../../native/math/sada_step.h"
#include "on_device.h"
#include "sada_on_cpu.h"

namespace on_device {
namespace {

using namespace sada;

constexpr int kSteps = 12;

// Flow matching on even levels, with a network whose answer is the clean sample but for `share` of the state.
std::vector<SolverStep> levels_of(double share) {
  std::vector<SolverStep> levels(kSteps + 1);
  for (int k = 0; k <= kSteps; ++k) {
    SolverStep& at = levels[static_cast<size_t>(k)];
    at.level = at.time = 1.0 - k / static_cast<double>(kSteps), at.usual_error = 0.01, at.signal = 1.0 - at.level;
    if (k == kSteps) break;
    const double next = 1.0 - (k + 1) / static_cast<double>(kSteps);
    add(at.denoised, Name::kOutput, 1.0 - share);
    if (share != 0.0) add(at.denoised, Name::kX, share);
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

SadaOptions damped() {
  SadaOptions options = lenient();
  options.damping = 3.0, options.max_consecutive = 1;
  return options;
}

struct Start {
  std::vector<float> state, answer;
  double share = 0.0;
  int64_t shift = 0;  // elements that every buffer lies off its alignment
};

// A run whose network copies the answer. On a device of its own where `on` is given.
class Run {
 public:
  Run(const SadaOptions& options, Start start, Device* on = device())
      : cancelled(1), length_(static_cast<int64_t>(start.state.size())), stride_((4 * (length_ + start.shift) + 255) / 256 * 256), on_(on),
        levels_(levels_of(start.share)), memory_(14 * stride_), answer_(start.answer.data(), 4 * length_) {
    check(table().synchronize(device()), "synchronize");  // memory is filled on its stream
    const DeviceLimits limits = {length_, 1, 0, 0};
    check(table().reserve(on_, &limits), "reserve");
    char* at = memory_.data() + 4 * start.shift;
    for (float*& buffer : request_.buffer) buffer = reinterpret_cast<float*>(at), at += stride_;
    check(table().upload(on_, request_.buffer[0], start.state.data(), 4 * length_), "upload");
    request_.options = options, add(request_.output, Name::kCond, 1.0);
    request_.levels = levels_.data(), request_.steps = kSteps, request_.length = length_;
    cond_ = reinterpret_cast<float*>(at), request_.cond = cond_;
    request_.sample[0] = reinterpret_cast<float*>(at += stride_), request_.level = reinterpret_cast<float*>(at += stride_),
    request_.rows = 1;
    *flag() = 0;
    request_.cancelled = flag();
    check(table().sada_create(on_, &request_, &run_), "create");
  }
  // Of one element.
  Run(const SadaOptions& options, float answer) : Run(options, Start{{1.0f}, {answer}}) {}
  Run(const Run&) = delete;
  ~Run() {
    table().release_graph(on_, graph_);
    table().sada_destroy(on_, run_);
  }

  void ask() {
    before();
    after();
  }
  void before() {
    check(table().sada_before(on_, run_, false), "before");
    if (report()[1] != 0.0) pass();
  }
  void after() { check(table().sada_after(on_, run_, &graph_), "after"); }
  void launch() {
    if (graph_ == nullptr) {
      check(table().sada_before(on_, run_, true), "before");
      pass();
      check(table().sada_after(on_, run_, &graph_), "after");
    }
    check(table().launch(on_, graph_), "launch");
  }
  std::vector<double> report() const {
    std::vector<double> numbers(kSadaHeader + kSadaRecord * kSteps);
    check(table().sada_report(on_, run_, numbers.data(), static_cast<int64_t>(numbers.size())), "report");
    check(table().synchronize(on_), "synchronize");
    return numbers;
  }
  std::vector<float> state() const { return buffer(report()[3]); }
  std::vector<float> clean() const { return buffer(report()[4]); }
  int32_t* flag() { return reinterpret_cast<int32_t*>(cancelled.data()); }

  Pinned cancelled;

 private:
  void pass() { check(table().copy(on_, cond_, answer_.data(), 4 * length_), "copy"); }
  std::vector<float> buffer(double index) const {
    std::vector<float> values(static_cast<size_t>(length_));
    check(table().download(on_, values.data(), request_.buffer[static_cast<int>(index)], 4 * length_), "download");
    check(table().synchronize(on_), "synchronize");
    return values;
  }

  const int64_t length_, stride_;
  Device* const on_;
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
  for (int k = 0; k < static_cast<int>(report[0]); ++k)
    text += report[static_cast<size_t>(kSadaHeader + kSadaRecord * k)] != 0.0 ? '1' : '0';
  return text;
}

Start any_start(int64_t length, int64_t shift = 0) {
  cases::Numbers numbers(static_cast<uint32_t>(length));
  return {numbers.floats(length), numbers.floats(length), 0.25, shift};
}

// Whose clean sample goes against the state.
Start overreacting(int64_t length, int64_t shift = 0) {
  Start start = any_start(length, shift);
  start.share = -3.0;
  return start;
}

void expect_as_on_cpu(const Run& run, const SadaOnCpu& cpu, const std::string& what) {
  const std::vector<double> report = run.report();
  const std::vector<float> state = run.state(), clean = run.clean();
  const auto length = static_cast<int64_t>(state.size());
  cases::expect(report[0] == kSteps && report[2] == 0.0, what + ": not all steps were made");
  cases::expect(actions(report).find('1') != std::string::npos, what + ": no step was skipped");
  expect_same(report.data() + kSadaHeader, cpu.records().data(), kSadaRecord * kSteps, what + ", records");
  expect_same(state.data(), cpu.state().data(), length, what + ", state");
  expect_same(clean.data(), cpu.clean().data(), length, what + ", clean sample");
}

// So many elements that their tiles' results are a group and a rest; on an emulated GPU, which takes minutes for those, fewer.
int64_t many() {
#if defined(SADA_EMULATED)
  const bool is_real = false;
#else
  const bool is_real = std::string(table().name) == "cuda";
#endif
  return (int64_t{1} << (is_real ? 20 : 16)) + 1;
}

void against_cpu() {
  cases::test("states, clean samples, decisions and measurements have the CPU's bits, whatever the length", [] {
    for (const auto& [length, shift] :
         {std::pair<int64_t, int64_t>{1023, 0}, {1024, 0}, {1025, 0}, {4096, 0}, {1025, 1}, {4097, 3}, {many(), 0}}) {
      for (const auto& [options, start] : {std::pair{lenient(), any_start(length, shift)}, {damped(), overreacting(length, shift)}}) {
        const SadaOnCpu cpu(options, levels_of(start.share), start.state, start.answer);
        Run asked(options, start), launched(options, start);
        for (int k = 0; k < kSteps + 1; ++k) asked.ask(), launched.launch();
        const std::string what =
            std::to_string(length) + " elements" + (shift == 0 ? "" : ", unaligned") + (options.damping == 0.0 ? "" : ", damped");
        expect_as_on_cpu(asked, cpu, what + ", asked");
        expect_as_on_cpu(launched, cpu, what + ", launched");
      }
    }
  });
  cases::test("what is damped is another run: the network of these cases does overreact", [] {
    const Start start = overreacting(1025);
    const SadaOnCpu plain(lenient(), levels_of(start.share), start.state, start.answer),
        cpu(damped(), levels_of(start.share), start.state, start.answer);
    cases::expect(plain.state() != cpu.state(), "the same state");
  });
  cases::test("scratch that grows between attempts, and in the middle of one, changes nothing", [] {
    Device* own = nullptr;
    check(table().create(0, &own), "create");
    {
      const Start start = any_start(3000);
      // Two skips in a row are as much as may be spent.
      SadaOptions options = lenient();
      options.tolerance = 0.03;
      Run run(options, start, own);
      for (int k = 0; k < kSteps; ++k) {
        const DeviceLimits between = {8192 * (2 * k + 1), 1, 0, 0}, amid = {8192 * (2 * k + 2), 1, 0, 0};
        check(table().reserve(own, &between), "reserve");
        run.before();
        check(table().reserve(own, &amid), "reserve");
        run.after();
      }
      expect_as_on_cpu(run, SadaOnCpu(options, levels_of(start.share), start.state, start.answer), "grown");
    }
    check(table().destroy(own), "destroy");
  });
}

}  // namespace

void sada_cases() {
  against_cpu();
  cases::test("asked and launched runs are the same, and end where the last clean sample is", [] {
    Run asked(lenient(), 0.25f), launched(lenient(), 0.25f);
    for (int k = 0; k < kSteps + 2; ++k) asked.ask(), launched.launch();  // two too many do nothing
    const std::vector<double> wanted = asked.report(), got = launched.report();
    expect_same(got.data(), wanted.data(), static_cast<int64_t>(got.size()), "report");
    cases::expect(actions(got).find('1') != std::string::npos, actions(got));
    cases::expect(asked.state() == std::vector<float>{0.25f} && launched.state() == asked.state(), "state");
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
