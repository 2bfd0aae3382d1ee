#!/usr/bin/env python3
"""`sluice top` on a terminal: frames, keys, sort orders, narrow terminals, and a daemon that goes away.
usage: top.py SLUICE DAEMON_PID"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios

DEADLINE_SECONDS = 60  # of a wait for something that has to come


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command, rows, columns):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execv(command[0], command)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.fd)
        self.text = ''

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read_more(self):
        ready, _, _ = select.select([self.fd], [], [], DEADLINE_SECONDS)
        if not ready:
            sys.exit(f'nothing more came; so far: {self.text!r}')
        try:
            piece = os.read(self.fd, 65536).decode(errors='replace')
        except OSError:  # the command has ended
            piece = ''
        self.text += piece
        return piece != ''

    def frame(self, wanted):
        """The next whole frame that `wanted` accepts, as lines."""
        while True:
            # A frame begins by clearing the terminal and ends with the line of keys.
            for match in re.finditer(r'\x1b\[H\x1b\[J(.*?q ends[^\x1b]*)', self.text, re.S):
                lines = match.group(1).replace('\r', '').split('\n')
                if wanted(lines):
                    self.text = self.text[match.end():]
                    return lines
            if not self.read_more():
                sys.exit(f'the command ended; it said: {self.text!r}')

    def press(self, key):
        self.text = ''
        os.write(self.fd, key.encode())

    def end(self):
        """Its exit status, and what it said last."""
        while self.read_more():
            pass
        _, status = os.waitpid(self.child, 0)
        return os.waitstatus_to_exitcode(status)


def check(condition, what, seen):
    if not condition:
        sys.exit(f'{what}: {seen!r}')


def programs(lines):
    titles = next(i for i, line in enumerate(lines) if line.lstrip().startswith('program'))
    return [line.split()[0] for line in lines[titles + 1:] if line.strip() and 'q ends' not in line]


def main():
    sluice, daemon = sys.argv[1], int(sys.argv[2])
    terminal = Terminal([sluice, 'top'], 24, 100)
    lines = terminal.frame(lambda lines: len(programs(lines)) == 3 and ' 0 packets/s' not in lines[0])
    check('by cpu' in lines[0] and 'trimmed/s' in '\n'.join(lines), 'the first frame', lines)
    check(len({len(line.rstrip()) for line in lines[2:6]}) <= 2, 'columns are not aligned', lines)

    terminal.press('n')
    lines = terminal.frame(lambda lines: 'by name' in lines[0])
    check(programs(lines) == sorted(programs(lines)), 'not by name', lines)
    terminal.press('d')
    lines = terminal.frame(lambda lines: 'by dropped' in lines[0] and ' 0 packets/s' not in lines[0])
    check(programs(lines)[0] == 'some', 'not by drops', lines)
    terminal.press('?')  # no key of ours: nothing ends
    terminal.resize(24, 34)
    lines = terminal.frame(lambda lines: 'trimmed/s' not in '\n'.join(lines))
    check(all(len(line) <= 34 for line in lines), 'wider than the terminal', lines)
    check('run/s' in '\n'.join(lines), 'the most important column is gone', lines)
    terminal.resize(6, 100)
    lines = terminal.frame(lambda lines: len(lines) <= 6 and 'trimmed/s' in '\n'.join(lines))
    check('1 more' in lines[-1] or '2 more' in lines[-1], 'says nothing of what is hidden', lines)
    terminal.press('q')
    check(terminal.end() == 0, 'q does not end it well', terminal.text)

    # The one ended by a signal leaves the terminal as it was, and so does the one whose daemon went.
    terminal = Terminal([sluice, 'top', 'interval', '1', 'sort', 'run'], 24, 100)
    terminal.frame(lambda lines: 'by run' in lines[0])
    os.kill(terminal.child, signal.SIGINT)
    check(terminal.end() == 0, 'an interrupt', terminal.text)
    terminal = Terminal([sluice, 'top'], 24, 100)
    terminal.frame(lambda lines: True)
    in_use = termios.tcgetattr(terminal.fd)
    os.kill(daemon, signal.SIGTERM)
    status = terminal.end()
    check(status == 1 and 'sluice: top: the daemon is gone' in terminal.text.split('\x1b')[-1], 'a daemon that goes away', (status, terminal.text))
    check(in_use[3] & termios.ICANON == 0, 'keys wait for a return', in_use)
    print('all as expected')


main()
