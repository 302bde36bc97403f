// A member's step as the fused kernel reads it: made on the host for a batch, or on the device where that decides what the step is.
#pragma once

#include "../native/math/tree_sum.h"
#include "kernels.h"
#include "storage.cuh"

namespace sada::cuda {

struct StepMember {
  DeviceStep step;
  int64_t tiles = 0;
  double* partials = nullptr;  // [sums][partials_length]: the tiles' sums, then the groups', …
  int64_t partials_length = 0;
  uint32_t* tickets = nullptr;  // one per group: how many of its results are there
  double* sums = nullptr;
  float* terms = nullptr;  // those of token_sum, whole tiles
  int8_t slot[kMaxRows] = {};  // of shared memory, for the row's values; -1: in no sum
  int8_t slots = 0;
  bool is_aligned = true;  // every input and store to four of its elements
};

SADA_HD int64_t step_tiles(int64_t length) { return length == 0 ? 1 : (length + kTile - 1) / kTile; }

SADA_HD int64_t step_tickets(int64_t length) {
  int64_t groups = 0;
  for (int64_t n = step_tiles(length); n > 1;) groups += n = (n + kTile - 1) / kTile;
  return groups;
}

// The tiles' results, those of their groups, … and the sum itself.
SADA_HD int64_t step_partials(int64_t length) { return step_tiles(length) + step_tickets(length); }

SADA_HD int64_t step_terms(int64_t token_length) { return token_length == 0 ? 0 : step_tiles(token_length) * kTile; }

SADA_HD void give_slot(StepMember& member, int row) {
  if (row >= 0 && member.slot[row] < 0) member.slot[row] = member.slots++;
}

// A member whose `step` is there, as the index-th of a batch. In place: on the device a copy would be a stack of every thread there can be.
SADA_HD void complete(StepMember& member, int index, double* sums, const StepScratch& scratch) {
  const DeviceStep& step = member.step;
  const StepRequest& request = step.request;
  member.tiles = step_tiles(request.length);
  member.partials_length = step_partials(request.length);
  member.partials = scratch.partials + index * kMaxSums * step_partials(scratch.limits.length);
  member.tickets = scratch.tickets + index * step_tickets(scratch.limits.length);
  member.sums = sums;
  member.terms = scratch.terms + index * step_terms(scratch.limits.token_length);
  for (int8_t& slot : member.slot) slot = -1;
  member.slots = 0, member.is_aligned = true;
  for (int s = 0; s < request.sums; ++s) give_slot(member, request.sum[s].a), give_slot(member, request.sum[s].b);
  for (int k = 0; k < request.inputs; ++k) member.is_aligned = member.is_aligned && is_quad_aligned(request.input[k], step.input_type[k]);
  for (int r = 0; r < request.rows; ++r) member.is_aligned = member.is_aligned && is_quad_aligned(request.store[r], step.store_type[r]);
}

}  // namespace sada::cuda
