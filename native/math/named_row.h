// ts/solver/row.ts where a step is decided on the device: weighted sums of named buffers, in float64. The order of the terms is part of a
// row's result, so it is the order of JavaScript's objects: a name keeps the place where it first came.
#pragma once

#include "portable.h"

namespace sada {

// What a step's rows are over. Up to kOutput they are defined by others; from kX0Newest on they are what is remembered of the newest two
// computed steps.
enum class Name : signed char { kX, kX0, kX0Prev, kY, kNext, kOutput, kCond, kUncond, kX0Newest, kX0Older, kYNewest, kYOlder };
constexpr int kNames = 12;

struct NamedRow {
  int terms = 0;
  Name name[kNames] = {};
  double weight[kNames] = {};
};

SADA_HD NamedRow named(Name name, double weight) {
  NamedRow row;
  row.terms = 1, row.name[0] = name, row.weight[0] = weight;
  return row;
}

// sum += weight of `name`
SADA_HD void add(NamedRow& sum, Name name, double weight) {
  int k = 0;
  while (k < sum.terms && sum.name[k] != name) ++k;
  if (k == sum.terms) sum.name[sum.terms++] = name, sum.weight[k] = 0.0;
  sum.weight[k] = sum.weight[k] + weight;
}

// sum += factor * row
SADA_HD void add(NamedRow& sum, double factor, const NamedRow& row) {
  for (int k = 0; k < row.terms; ++k) add(sum, row.name[k], factor * row.weight[k]);
}

SADA_HD NamedRow without_zeros(const NamedRow& row) {
  NamedRow kept;
  for (int k = 0; k < row.terms; ++k) {
    if (row.weight[k] != 0.0) kept.name[kept.terms] = row.name[k], kept.weight[kept.terms++] = row.weight[k];
  }
  return kept;
}

SADA_HD NamedRow plus(const NamedRow& a, const NamedRow& b) {
  NamedRow sum;
  add(sum, 1.0, a);
  add(sum, 1.0, b);
  return without_zeros(sum);
}

SADA_HD NamedRow times(double factor, const NamedRow& row) {
  NamedRow product;
  for (int k = 0; factor != 0.0 && k < row.terms; ++k) product.name[k] = row.name[k], product.weight[k] = factor * row.weight[k], product.terms = k + 1;
  return product;
}

SADA_HD NamedRow minus(const NamedRow& a, const NamedRow& b) { return plus(a, times(-1.0, b)); }

// What names stand for; null: themselves.
struct Definitions {
  const NamedRow* of[kNames] = {};
  SADA_HD void set(Name name, const NamedRow& row) { of[static_cast<int>(name)] = &row; }
};

SADA_HD NamedRow substitute(const NamedRow& row, const Definitions& definitions) {
  NamedRow sum;
  for (int k = 0; k < row.terms; ++k) {
    const NamedRow* definition = definitions.of[static_cast<int>(row.name[k])];
    if (definition == nullptr) add(sum, row.name[k], row.weight[k]);
    else add(sum, row.weight[k], *definition);
  }
  return without_zeros(sum);
}

}  // namespace sada
