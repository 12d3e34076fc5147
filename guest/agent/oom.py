"""Init protects the agent from the kernel's out-of-memory killer; what the agent starts must not inherit that."""


def reset_oom_score(pid: int) -> None:
    try:
        with open(f'/proc/{pid}/oom_score_adj', 'w') as file:
            file.write('0')
    except OSError:
        pass  # gone already, or not ours to change
