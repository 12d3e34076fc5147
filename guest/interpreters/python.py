"""Warm Python interpreter: imports the modules it is given, then evaluates code in one namespace, for ever.

    python3 python.py [MODULE | MODULE=ALIAS]...

JSON lines on the socket whose number is in BOUGH_FD: says {"ready":true,"reseeds":true}, answers {"code":...} with {"result",
"error", "exit_code"}, takes {"changes":...} in the environment (null: it is gone) and {"reseed":true} without an answer. The
result is the repr of the last statement if that is an expression, null for None and for everything else. SIGINT interrupts the code,
and only the code.

A child that code forks may go on like any process; where the code ends, so does the child, for it has nobody to answer.
"""

from __future__ import annotations

import _ast
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


def parse(code: str) -> tuple[CodeType | None, CodeType | None]:
    """The statements before the last one, and the last one, if it is an expression; otherwise all of them, and None."""
    try:
        return None, compile(code.strip(), '<eval>', 'eval')
    except SyntaxError:
        pass
    tree = compile(code, '<eval>', 'exec', _ast.PyCF_ONLY_AST)
    assert isinstance(tree, _ast.Module)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, _ast.Expr):
        return compile(tree, '<eval>', 'exec'), None
    tree.body.pop()
    return compile(tree, '<eval>', 'exec'), compile(_ast.Expression(last.value), '<eval>', 'eval')


def run(code: str, namespace: dict[str, Any]) -> Any:
    statements, expression = parse(code)
    if statements is not None:
        exec(statements, namespace)
    return None if expression is None else eval(expression, namespace)


def evaluate(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            value = run(code, namespace)
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


def reseed() -> None:
    """Seeds what the process shares with its twins in other machines; those that code made itself are the code's. Not hash()."""
    seeds = {
        'random': lambda module: module.seed(),
        'numpy.random': lambda module: module.seed(),
        'ssl': lambda module: module.RAND_add(os.urandom(32), 32.0),
        'tempfile': lambda module: setattr(module, '_name_sequence', None),
    }
    for name, seed in seeds.items():
        try:
            if name in sys.modules:
                seed(sys.modules[name])
        except Exception:
            traceback.print_exc()  # what code has put in the place of a module


def change_environment(changes: dict[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def end_of_fork(answer: dict[str, Any]) -> None:
    """Ends a process that the code forked, as Python ends one: with its traceback on stderr and its status."""
    if answer['error'] is not None and not answer['error'].startswith('SystemExit: '):
        print(answer['error'], file=sys.stderr)
    flush_output()
    os._exit(answer['exit_code'] & 0xFF)


def main() -> None:
    own_pid = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(os.environ.pop('BOUGH_FD')))
    control.set_inheritable(False)
    # What was printed before is printed once, and the socket is this process's alone.
    os.register_at_fork(before=flush_output, after_in_child=lambda: os.close(control.detach()))
    sys.argv = ['']
    namespace = warm_namespace(MODULES)
    control.sendall(b'{"ready":true,"reseeds":true}\n')
    for line in control.makefile('rb'):
        message = json.loads(line)
        if 'changes' in message:
            change_environment(message['changes'])
            continue
        if 'reseed' in message:
            reseed()
            continue
        answer = evaluate(message['code'], namespace)
        if os.getpid() != own_pid:
            end_of_fork(answer)
        flush_output()
        control.sendall(json.dumps(answer).encode() + b'\n')


MODULES = sys.argv[1:]
main()
