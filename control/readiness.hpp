// Tells systemd (Type=notify) how far the daemon is. Without $NOTIFY_SOCKET it does nothing.
// Control thread.
#pragma once

#include <string_view>

namespace sluice::control {

void notify_service_manager(std::string_view state);  // "READY=1", "STOPPING=1"

}  // namespace sluice::control
