"""Warm Python interpreter: imports the modules it is given, then evaluates code in one namespace, for ever.

    python3 python.py [MODULE | MODULE=ALIAS]...

JSON lines on the socket whose number is in BOUGH_FD: says {"ready":true}, answers {"code":...} with {"result", "error",
"exit_code"}, takes {"env":...} without an answer. Code is an expression if it compiles as one (the result is its repr,
null for None), otherwise statements (null). SIGINT interrupts the code, and only the code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
import types

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any
    from types import CodeType

MAX_TEXT_CHARACTERS = 1 << 20


def shortened(text: str) -> str:
    left_out = len(text) - MAX_TEXT_CHARACTERS
    return text if left_out <= 0 else f'{text[:MAX_TEXT_CHARACTERS]}... ({left_out} more characters)'


def compile_expression(code: str) -> CodeType | None:
    try:
        return compile(code.strip(), '<eval>', 'eval')
    except SyntaxError:
        return None


def evaluate(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    try:
        compiled = compile_expression(code) or compile(code, '<eval>', 'exec')
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            value = eval(compiled, namespace)
            result = None if value is None else shortened(repr(value))
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return {'result': result, 'error': None, 'exit_code': 0}
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
        return {'result': None, 'error': f'SystemExit: {exit.code}', 'exit_code': status}
    except BaseException as error:
        # Without our own frames: the code's own begin after them.
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        text = ''.join(traceback.format_exception(type(error), error, frames))
        return {'result': None, 'error': shortened(text.rstrip('\n')), 'exit_code': 1}


def warm_namespace(modules: list[str]) -> dict[str, Any]:
    main = types.ModuleType('__main__')
    main.__dict__['__builtins__'] = __builtins__
    for entry in modules:
        module, _, alias = entry.partition('=')
        __import__(module)
        top = module.partition('.')[0]
        main.__dict__[top] = sys.modules[top]
        if alias:
            main.__dict__[alias] = sys.modules[module]
    # What user code defines must be found under its own name: pickle and inspect look there.
    sys.modules['__main__'] = main
    return main.__dict__


def flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # user code closed or replaced it


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(os.environ.pop('BOUGH_FD')))
    control.set_inheritable(False)
    sys.argv = ['']
    namespace = warm_namespace(MODULES)
    control.sendall(b'{"ready":true}\n')
    for line in control.makefile('rb'):
        message = json.loads(line)
        if 'env' in message:
            os.environ.clear()
            os.environ.update(message['env'])
            continue
        answer = evaluate(message['code'], namespace)
        flush_output()
        control.sendall(json.dumps(answer).encode() + b'\n')


MODULES = sys.argv[1:]
main()
