#!/bin/bash
# kill -9 of the daemon under load, over and over. usage: pins_crash.sh SLUICE PINS_CRASH. SLUICE_CRASH_ROUNDS: how often.
exec "$2" "$1" "${SLUICE_CRASH_ROUNDS:-20}"
