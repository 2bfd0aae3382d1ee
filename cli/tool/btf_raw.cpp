#include "cli/tool/btf_raw.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace sluice::cli {
namespace {

struct Field {
  const char* name;
  std::string value;
  bool quoted = false;     // in JSON
  const char* comma = "";  // after it, in plain text
};
using Fields = std::vector<Field>;

Field field(const char* name, uint64_t value) { return {name, std::to_string(value)}; }
Field text(const char* name, std::string value) { return {name, std::move(value), true}; }

constexpr const char* kKindNames[] = {"UNKNOWN", "INT",      "PTR",      "ARRAY",      "STRUCT",
                                      "UNION",   "ENUM",     "FWD",      "TYPEDEF",    "VOLATILE",
                                      "CONST",   "RESTRICT", "FUNC",     "FUNC_PROTO", "VAR",
                                      "DATASEC", "FLOAT",    "DECL_TAG", "TYPE_TAG",   "ENUM64"};

class RawType {
 public:
  RawType(JsonWriter* out, const ::btf& btf, uint32_t id)
      : out_(out), btf_(btf), id_(id), type_(*::btf__type_by_id(&btf, id)) {}

  void write() {
    begin();
    switch (::btf_kind(&type_)) {
      case BTF_KIND_INT:
        return head({field("size", type_.size), field("bits_offset", ::btf_int_offset(&type_)),
                     field("nr_bits", ::btf_int_bits(&type_)), text("encoding", int_encoding())});
      case BTF_KIND_PTR:
      case BTF_KIND_CONST:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_TYPE_TAG: return head({field("type_id", type_.type)});
      case BTF_KIND_ARRAY: return array();
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: return composite();
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64: return enumeration();
      case BTF_KIND_FWD: return head({text("fwd_kind", ::btf_kflag(&type_) ? "union" : "struct")});
      case BTF_KIND_FUNC:
        return head({field("type_id", type_.type), text("linkage", linkage(::btf_vlen(&type_)))});
      case BTF_KIND_FUNC_PROTO: return prototype();
      case BTF_KIND_VAR: {
        Field type = field("type_id", type_.type);
        type.comma = ",";
        return head({type, text("linkage", linkage(::btf_var(&type_)->linkage))});
      }
      case BTF_KIND_DATASEC: return section();
      case BTF_KIND_FLOAT: return head({field("size", type_.size)});
      case BTF_KIND_DECL_TAG:
        return head({field("type_id", type_.type),
                     {"component_idx", std::to_string(::btf_decl_tag(&type_)->component_idx)}});
      default: return head({});
    }
  }

 private:
  [[nodiscard]] std::string name(uint32_t offset) const {
    const char* found = ::btf__name_by_offset(&btf_, offset);
    return found == nullptr || *found == 0 ? "(anon)" : found;
  }

  [[nodiscard]] std::string int_encoding() const {
    switch (::btf_int_encoding(&type_)) {
      case 0: return "(none)";
      case BTF_INT_SIGNED: return "SIGNED";
      case BTF_INT_CHAR: return "CHAR";
      case BTF_INT_BOOL: return "BOOL";
      default: return "UNKN";
    }
  }

  static const char* linkage(uint32_t value) {
    switch (value) {
      case BTF_FUNC_STATIC: return "static";
      case BTF_FUNC_GLOBAL: return "global";
      case BTF_FUNC_EXTERN: return "extern";
      default: return "(unknown)";
    }
  }

  void put(const Fields& fields) {
    for (const Field& one : fields) {
      if (out_ == nullptr) {
        std::printf(" %s=%s%s", one.name, one.value.c_str(), one.comma);
        continue;
      }
      out_->key(one.name);
      if (one.quoted) {
        out_->string(one.value);
      } else {
        out_->raw(one.value);
      }
    }
  }

  void begin() {
    const uint32_t kind = ::btf_kind(&type_);
    const char* kind_text = kind < std::size(kKindNames) ? kKindNames[kind] : kKindNames[0];
    if (out_ == nullptr) {
      std::printf("[%u] %s '%s'", id_, kind_text, name(type_.name_off).c_str());
      return;
    }
    out_->begin_object();
    out_->member("id", id_);
    out_->member("kind", kind_text);
    out_->member("name", name(type_.name_off));
  }

  // A type without members.
  void head(const Fields& fields) {
    put(fields);
    end();
  }
  void end() {
    if (out_ == nullptr) {
      std::printf("\n");
    } else {
      out_->end_object();
    }
  }

  void begin_members(const char* list) {
    if (out_ == nullptr) return;
    out_->key(list);
    out_->begin_array();
  }
  void member(const std::string* label, const Fields& fields, const char* after = "") {
    if (out_ == nullptr) {
      std::printf("\n\t");
      if (label != nullptr) std::printf("'%s'", label->c_str());
      // Without a label the first field begins the line.
      if (label == nullptr && !fields.empty()) {
        std::printf("%s=%s", fields[0].name, fields[0].value.c_str());
        put({fields.begin() + 1, fields.end()});
      } else {
        put(fields);
      }
      std::printf("%s", after);
      return;
    }
    out_->begin_object();
    if (label != nullptr) out_->member("name", *label);
    put(fields);
    out_->end_object();
  }
  void end_members() {
    if (out_ != nullptr) out_->end_array();
    end();
  }

  void array() {
    const auto& array = *::btf_array(&type_);
    head({field("type_id", array.type), field("index_type_id", array.index_type),
          field("nr_elems", array.nelems)});
  }

  void composite() {
    put({field("size", type_.size), field("vlen", ::btf_vlen(&type_))});
    begin_members("members");
    for (uint32_t i = 0; i < ::btf_vlen(&type_); i++) {
      const btf_member& one = ::btf_members(&type_)[i];
      const std::string label = name(one.name_off);
      Fields fields{field("type_id", one.type),
                    field("bits_offset", ::btf_member_bit_offset(&type_, i))};
      const uint32_t bits = ::btf_member_bitfield_size(&type_, i);
      if (bits != 0) fields.push_back(field("bitfield_size", bits));
      member(&label, fields);
    }
    end_members();
  }

  void enumeration() {
    const bool is_signed = ::btf_kflag(&type_);
    const bool wide = ::btf_is_enum64(&type_);
    put({text("encoding", is_signed ? "SIGNED" : "UNSIGNED"), field("size", type_.size),
         field("vlen", ::btf_vlen(&type_))});
    begin_members("values");
    for (uint32_t i = 0; i < ::btf_vlen(&type_); i++) {
      const std::string label =
          name(wide ? ::btf_enum64(&type_)[i].name_off : ::btf_enum(&type_)[i].name_off);
      std::string value;
      if (wide) {
        const uint64_t bits = ::btf_enum64_value(::btf_enum64(&type_) + i);
        value = is_signed ? std::to_string(static_cast<int64_t>(bits)) : std::to_string(bits);
        if (out_ == nullptr) value += is_signed ? "LL" : "ULL";
      } else {
        const int32_t bits = ::btf_enum(&type_)[i].val;
        value = is_signed ? std::to_string(bits) : std::to_string(static_cast<uint32_t>(bits));
      }
      member(&label, {{"val", value}});
    }
    end_members();
  }

  void prototype() {
    put({field("ret_type_id", type_.type), field("vlen", ::btf_vlen(&type_))});
    begin_members("params");
    for (uint32_t i = 0; i < ::btf_vlen(&type_); i++) {
      const btf_param& one = ::btf_params(&type_)[i];
      const std::string label = name(one.name_off);
      member(&label, {field("type_id", one.type)});
    }
    end_members();
  }

  void section() {
    put({field("size", type_.size), field("vlen", ::btf_vlen(&type_))});
    begin_members("vars");
    for (uint32_t i = 0; i < ::btf_vlen(&type_); i++) {
      const btf_var_secinfo& one = ::btf_var_secinfos(&type_)[i];
      const btf_type* variable = ::btf__type_by_id(&btf_, one.type);
      std::string after;
      if (variable != nullptr) {
        after = std::string(" (") +
                kKindNames[std::min<size_t>(::btf_kind(variable), std::size(kKindNames) - 1)] +
                " '" + name(variable->name_off) + "')";
      }
      member(nullptr,
             {field("type_id", one.type), field("offset", one.offset), field("size", one.size)},
             after.c_str());
    }
    end_members();
  }

  JsonWriter* out_;  // null: plain text
  const ::btf& btf_;
  uint32_t id_;
  const btf_type& type_;
};

}  // namespace

void write_raw_type(JsonWriter* out, const ::btf& btf, uint32_t id) {
  if (::btf__type_by_id(&btf, id) != nullptr) RawType(out, btf, id).write();
}

}  // namespace sluice::cli
