// ts/solver/row.ts where a step is decided on the device: weighted sums of named buffers, in float64. The order of the terms is part of a
// row's result, so it is the order of JavaScript's objects: a name keeps the place where it first came. Rows are made in memory that is
// given: as values a GPU's thread would have them on its stack, which a driver sets aside for every thread that the GPU can hold.
#pragma once

#include "portable.h"

namespace sada {

// What a step's rows are over. Up to kOutput they are defined by others; from kX0Newest on they are what is remembered of the newest two
// computed steps.
enum class Name : signed char { kX, kEstimate, kX0, kX0Prev, kY, kNext, kOutput, kCond, kUncond, kX0Newest, kX0Older, kYNewest, kYOlder };
constexpr int kNames = 13;

struct NamedRow {
  int terms = 0;
  Name name[kNames] = {};
  double weight[kNames] = {};
};

// sum += weight of `name`
SADA_HD constexpr void add(NamedRow& sum, Name name, double weight) {
  int k = 0;
  while (k < sum.terms && sum.name[k] != name) ++k;
  if (k == sum.terms) sum.name[sum.terms++] = name, sum.weight[k] = 0.0;
  sum.weight[k] = sum.weight[k] + weight;
}

// sum += factor * row
SADA_HD constexpr void add(NamedRow& sum, double factor, const NamedRow& row) {
  for (int k = 0; k < row.terms; ++k) add(sum, row.name[k], factor * row.weight[k]);
}

SADA_HD constexpr void set(NamedRow& row, const NamedRow& to) {
  row.terms = to.terms;
  for (int k = 0; k < to.terms; ++k) row.name[k] = to.name[k], row.weight[k] = to.weight[k];
}

SADA_HD constexpr void drop_zeros(NamedRow& row) {
  int kept = 0;
  for (int k = 0; k < row.terms; ++k) {
    if (row.weight[k] != 0.0) row.name[kept] = row.name[k], row.weight[kept++] = row.weight[k];
  }
  row.terms = kept;
}

// What names stand for; null: themselves.
struct Definitions {
  const NamedRow* of[kNames] = {};
  SADA_HD constexpr void clear() {
    for (const NamedRow*& each : of) each = nullptr;
  }
  SADA_HD constexpr void set(Name name, const NamedRow& row) { of[static_cast<int>(name)] = &row; }
};

// The rows that formulas make on their way to one that is kept.
class NamedRows {
 public:
  // What a step makes at most; sada_step.h has the compiler go that way.
  static constexpr int kRoom = 57;

  SADA_HD constexpr int made() const { return made_; }
  // Those made since there were `made` are done with.
  SADA_HD constexpr void keep(int made) { made_ = made; }
  SADA_HD constexpr void clear() { made_ = 0; }

  SADA_HD constexpr NamedRow& empty() {
    NamedRow& row = row_[made_++];
    row.terms = 0;
    return row;
  }

  SADA_HD constexpr const NamedRow& named(Name name, double weight) {
    NamedRow& row = empty();
    row.terms = 1, row.name[0] = name, row.weight[0] = weight;
    return row;
  }

  SADA_HD constexpr const NamedRow& plus(const NamedRow& a, const NamedRow& b) {
    NamedRow& sum = empty();
    add(sum, 1.0, a);
    add(sum, 1.0, b);
    drop_zeros(sum);
    return sum;
  }

  SADA_HD constexpr const NamedRow& times(double factor, const NamedRow& row) {
    NamedRow& product = empty();
    for (int k = 0; factor != 0.0 && k < row.terms; ++k)
      product.name[k] = row.name[k], product.weight[k] = factor * row.weight[k], product.terms = k + 1;
    return product;
  }

  SADA_HD constexpr const NamedRow& minus(const NamedRow& a, const NamedRow& b) { return plus(a, times(-1.0, b)); }

  SADA_HD constexpr const NamedRow& substitute(const NamedRow& row, const Definitions& definitions) {
    NamedRow& sum = empty();
    for (int k = 0; k < row.terms; ++k) {
      const NamedRow* definition = definitions.of[static_cast<int>(row.name[k])];
      if (definition == nullptr) add(sum, row.name[k], row.weight[k]);
      else add(sum, row.weight[k], *definition);
    }
    drop_zeros(sum);
    return sum;
  }

 private:
  int made_ = 0;  // before the rows: one too many does not lower it
  NamedRow row_[kRoom];
};

}  // namespace sada
