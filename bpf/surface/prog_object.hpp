// From a program's attribute to the program object: the same for one that is loaded and one that
// comes back from the store. Private to bpf/surface.
#pragma once

#include "bpf/surface/prog_spec.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf::surface {

VerifierInput verifier_input(const ProgSpec& spec, bool gpl_compatible, uint32_t log_level,
                             uint32_t possible_cpus);
// Of a program that `uid` loads. Array indices are masked for all but root.
Hardening hardening_for(JitHarden harden, uid_t uid);

// The prog_arrays the program uses are from now on for programs of its kind; false: one of them is
// for another.
bool claim_tail_calls(const ProgSpec& spec);

// Tells the program's maps what it does to them (Map::admit), which may wait for the workers.
// Before anybody has the program.
void admit_to_maps(const AnnotatedProgram& program);

// `result` has a program. The object has no id yet.
std::shared_ptr<ProgramObject> make_program(uid_t uid, ProgSpec spec, VerifierResult result);

}  // namespace sluice::bpf::surface
