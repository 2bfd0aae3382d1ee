// The verbs, one function each: words after the verb in, output by the context. The tables are in
// subjects.cpp.
#pragma once

#include "cli/tool/tool.hpp"

namespace sluice::cli {

Status map_show(Context& context, Words& words);
Status map_create(Context& context, Words& words);
Status map_dump(Context& context, Words& words);
Status map_update(Context& context, Words& words);
Status map_lookup(Context& context, Words& words);
Status map_getnext(Context& context, Words& words);
Status map_delete(Context& context, Words& words);
Status map_event_pipe(Context& context, Words& words);
Status map_peek(Context& context, Words& words);
Status map_pop(Context& context, Words& words);
Status map_freeze(Context& context, Words& words);

Status prog_show(Context& context, Words& words);
Status prog_dump(Context& context, Words& words);
Status prog_profile(Context& context, Words& words);
Status prog_load(Context& context, Words& words);
Status prog_loadall(Context& context, Words& words);
Status prog_run(Context& context, Words& words);
Status prog_attach(Context& context, Words& words);
Status prog_detach(Context& context, Words& words);
Status prog_tracelog(Context& context, Words& words);

Status link_show(Context& context, Words& words);
Status link_create(Context& context, Words& words);
Status link_detach(Context& context, Words& words);

Status btf_show(Context& context, Words& words);
Status btf_dump(Context& context, Words& words);

Status feature_probe(Context& context, Words& words);
Status feature_list_builtins(Context& context, Words& words);

Status batch_file(Context& context, Words& words);

Status port_show(Context& context, Words& words);
Status chain_show(Context& context, Words& words);
Status metrics_show(Context& context, Words& words);
Status status_show(Context& context, Words& words);
Status version_show(Context& context, Words& words);
Status top_show(Context& context, Words& words);

}  // namespace sluice::cli
