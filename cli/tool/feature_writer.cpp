#include "cli/tool/feature_writer.hpp"

#include <algorithm>
#include <cstdio>

namespace sluice::cli {

FeatureWriter::FeatureWriter(Context& context, bool macros, std::string prefix)
    : json_(context.json),
      form_(!context.plain() ? Form::json
            : macros         ? Form::macros
                             : Form::sentences),
      prefix_(std::move(prefix)) {}

void FeatureWriter::begin(const Section& section) {
  switch (form_) {
    case Form::sentences: std::printf("%s\n", section.scan); break;
    case Form::macros: std::printf("/*** %s ***/\n", section.macro); break;
    case Form::json:
      json_.key(section.name);
      json_.begin_object();
      break;
  }
}

void FeatureWriter::end() {
  if (form_ == Form::json) {
    json_.end_object();
  } else {
    std::printf("\n");
  }
}

void FeatureWriter::answer(const std::string& member, const std::string& sentence, bool available) {
  std::string macro = member;
  std::transform(macro.begin(), macro.end(), macro.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  switch (form_) {
    case Form::sentences:
      std::printf("%s is %savailable\n", sentence.c_str(), available ? "" : "NOT ");
      break;
    case Form::macros:
      std::printf("#define %s%s%s\n", prefix_.c_str(), available ? "" : "NO_", macro.c_str());
      break;
    case Form::json: json_.member(member, available); break;
  }
}

void FeatureWriter::explain_helpers() {
  if (form_ != Form::macros) return;
  const char* prefix = prefix_.c_str();
  std::printf(
      "/*\n * Use %sHAVE_PROG_TYPE_HELPER(prog_type_name, helper_name)\n"
      " * to determine if <helper_name> is available for <prog_type_name>,\n * e.g.\n"
      " *\t#if %sHAVE_PROG_TYPE_HELPER(xdp, bpf_redirect)\n"
      " *\t\t// do stuff with this helper\n *\t#elif\n"
      " *\t\t// use a workaround\n *\t#endif\n */\n"
      "#define %sHAVE_PROG_TYPE_HELPER(prog_type, helper)\t\\\n"
      "\t%sBPF__PROG_TYPE_ ## prog_type ## __HELPER_ ## helper\n",
      prefix, prefix, prefix, prefix);
}

void FeatureWriter::begin_helpers(const std::string& type, bool supported) {
  if (form_ == Form::json) {
    json_.key(type + "_available_helpers");
    json_.begin_array();
  }
  if (form_ == Form::sentences) {
    std::printf("eBPF helpers supported for program type %s:\n", type.c_str());
    if (!supported) std::printf("\tProgram type not supported\n");
  }
}

void FeatureWriter::helper(const std::string& type, const std::string& helper, bool available) {
  if (form_ == Form::macros) {
    std::printf("#define %sBPF__PROG_TYPE_%s__HELPER_%s %d\n", prefix_.c_str(), type.c_str(),
                helper.c_str(), available ? 1 : 0);
  }
  if (!available) return;
  if (form_ == Form::json) json_.string(helper);
  if (form_ == Form::sentences) std::printf("\t- %s\n", helper.c_str());
}

void FeatureWriter::end_helpers() {
  if (form_ == Form::json) json_.end_array();
}

}  // namespace sluice::cli
