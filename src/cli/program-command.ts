/**
 * A command that runs a program: its own options end where the program's name stands, and what follows is the program's, as in docker and ssh.
 *
 *   bough exec -i box --cwd /srv ls -la        -la is for ls
 *
 * The first word is the place where it runs. commander passes everything on from there; so it is asked again for what follows, and
 * stops at the next word, which is the program. `--` may stand before that, and has to where its name begins with a dash.
 */
import { Command, type ParseOptionsResult } from 'commander';

export class ProgramCommand extends Command {
  override parseOptions(args: string[]): ParseOptionsResult {
    const { operands, unknown } = super.parseOptions(args);
    const [place, ...rest] = operands;
    if (place === undefined) return { operands, unknown };
    const behind = super.parseOptions(rest);
    return { operands: [place, ...behind.operands], unknown: [...unknown, ...behind.unknown] };
  }
}

/** Adds one of that name. */
export function addProgramCommand(parent: Command, name: string): Command {
  const command = new ProgramCommand(name).copyInheritedSettings(parent).passThroughOptions();
  parent.enablePositionalOptions().addCommand(command);
  return command;
}
