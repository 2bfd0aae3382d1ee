#include "bpf/maps/added_fields.hpp"

#include <algorithm>

namespace sluice::bpf {

bool add_field(std::vector<AddedField>* fields, AddedField field) {
  const auto next = std::ranges::lower_bound(*fields, field.offset, {}, &AddedField::offset);
  if (next != fields->end() && *next == field) return true;
  if (next != fields->end() && next->offset < field.offset + field.width) return false;
  if (next != fields->begin() && (next - 1)->offset + (next - 1)->width > field.offset)
    return false;
  if (fields->size() == kMaxAddedFields) return false;
  fields->insert(next, field);
  return true;
}

}  // namespace sluice::bpf
