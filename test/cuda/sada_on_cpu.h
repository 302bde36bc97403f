// A run of cases_sada.cpp made on the CPU: native/math/sada_step.h decides, the CPU's step computes.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "../../native/device.h"
#include "../native/cases.h"

namespace on_device {

class SadaOnCpu {
 public:
  using Buffer = std::vector<float>;

  SadaOnCpu(const sada::SadaOptions& options, const std::vector<sada::SolverStep>& levels, Buffer state, Buffer answer)
      : sada_{options, static_cast<int>(levels.size()) - 1, levels.data()}, length_(static_cast<int64_t>(state.size())) {
    of_[Name::kX] = std::move(state), of_[Name::kCond] = std::move(answer);
    for (const Name name : {Name::kX0Prev, Name::kX0Newest, Name::kX0Older, Name::kYNewest, Name::kYOlder})
      of_[name] = Buffer(of_[Name::kX].size());
    add(output_, Name::kCond, 1.0);
    for (int step = 0; step < sada_.steps; ++step) {
      if (!sada::skips(sada_, member_, step) || !skip(step)) compute(step);
    }
  }

  const Buffer& state() const { return of_.at(Name::kX); }
  const Buffer& clean() const { return of_.at(Name::kX0Prev); }
  const std::vector<double>& records() const { return records_; }  // a report's, after its header

 private:
  using Name = sada::Name;

  // The step's sums; `made`: its stored rows.
  std::vector<double> make(std::vector<Buffer>& made) {
    const sada::SadaStep& step = work_.step;
    cases::expect(work_.rows.made() <= sada::kMostRows, std::to_string(work_.rows.made()) + " rows in a step");
    sada::StoredStep stored;
    sada::StepRequest& request = stored.request;
    std::map<Name, int> places;
    request.length = length_, request.rows = step.rows, request.sums = step.sums;
    for (int r = 0; r < step.rows; ++r) {
      for (int k = 0; k < step.row[r]->terms; ++k) {
        const Name name = step.row[r]->name[k];
        const auto [place, is_new] = places.emplace(name, request.inputs);
        if (is_new) request.input[request.inputs++] = of_.at(name).data();
        request.row[r].set(place->second, static_cast<float>(step.row[r]->weight[k]));
      }
    }
    for (size_t r = 0; r < made.size(); ++r) made[r].resize(static_cast<size_t>(length_)), request.store[r] = made[r].data();
    request.sum[0].a = sada::kX0Row;
    request.sum[1] = {sada::kMissedRow, sada::kMissedRow}, request.sum[2] = {sada::kCriterionA, sada::kCriterionB};
    request.sum[3] = {sada::kMissedRow, sada::kLastRow}, request.sum[4] = {sada::kLastRow, sada::kLastRow};
    std::vector<double> sums(sada::kSadaSums);
    sada::cpu().step(stored, sums.data());
    return sums;
  }

  void record(double skipped, const sada::SadaVerdict& verdict) {
    records_.insert(records_.end(), {skipped, verdict.criterion, verdict.error});
  }

  bool skip(int step) {
    std::vector<Buffer> made(2);
    sada::make_skipped_step(work_, sada_, member_, step);
    if (!std::isfinite(make(made)[0] / static_cast<double>(length_))) return false;
    of_[Name::kX] = made[sada::kNextRow], of_[Name::kX0Prev] = made[sada::kX0Row];
    record(1.0, sada::after_skip(sada_, member_, step));
    return true;
  }

  void compute(int step) {
    std::vector<Buffer> made(3);
    const auto n = static_cast<double>(length_);
    sada::make_computed_step(work_, sada_, member_, step, output_);
    const std::vector<double> sums = make(made);
    of_[Name::kX0Older] = of_[Name::kX0Newest], of_[Name::kYOlder] = of_[Name::kYNewest];
    of_[Name::kX] = made[sada::kNextRow], of_[Name::kYNewest] = made[sada::kVelocityRow];
    of_[Name::kX0Newest] = of_[Name::kX0Prev] = made[sada::kX0Row];
    record(0.0, sada::after_run(sada_, member_, step, {sums[1] / n, sums[2] / n, sums[3] / n, sums[4] / n}, sums[0] / n));
  }

  const sada::Sada sada_;
  const int64_t length_;
  sada::SadaState member_;
  sada::SadaWork work_;
  sada::NamedRow output_;
  std::map<Name, Buffer> of_;
  std::vector<double> records_;
};

}  // namespace on_device
