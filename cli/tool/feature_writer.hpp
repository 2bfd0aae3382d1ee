// The answers of `feature probe` in the three forms that bpftool has: sentences, JSON and C macros.
// The session's thread.
#pragma once

#include <string>

#include "cli/tool/tool.hpp"

namespace sluice::cli {

class FeatureWriter {
 public:
  // `macros`: C instead of sentences, each name behind `prefix`. JSON where the command line wants
  // it.
  FeatureWriter(Context& context, bool macros, std::string prefix);

  // `name` is a level of JSON; `scan` and `macro` are the headings of the others.
  struct Section {
    const char* name;
    const char* scan;
    const char* macro;
  };
  void begin(const Section& section);
  void end();

  // "have_hash_map_type", "eBPF map_type hash is available".
  void answer(const std::string& member, const std::string& sentence, bool available);

  // The helpers of a program type, one after the other.
  void explain_helpers();
  void begin_helpers(const std::string& type, bool supported);
  void helper(const std::string& type, const std::string& helper, bool available);
  void end_helpers();

 private:
  enum class Form { sentences, json, macros };
  JsonWriter& json_;
  const Form form_;
  const std::string prefix_;
};

}  // namespace sluice::cli
