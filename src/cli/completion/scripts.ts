/**
 * What the shells run at a TAB. Each asks `bough __complete -- <words>`, which knows the commands, and gets `word TAB description` lines; the
 * word `:files` asks the shell for its own names of files.
 *
 * So there is one implementation for all shells, it is always that of the installed version, and names of sandboxes come with the daemon
 * and the token that are in force. It costs a start of Node at each TAB.
 */

const bash = `_bough() {
  local word
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    if [[ $word == :files ]]; then
      compopt -o default
      return
    fi
    COMPREPLY+=("$word")
  done < <("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _bough bough
`;

const zsh = `#compdef bough
_bough() {
  local word about
  local -a found
  while IFS=$'\\t' read -r word about; do
    if [[ $word == :files ]]; then
      _files
      return
    fi
    found+=("\${word//:/\\\\:}:$about")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe bough found
}
if [[ "\${funcstack[1]}" == _bough ]]; then
  _bough "$@"
else
  compdef _bough bough
fi
`;

const fish = `function __bough_complete
  set -l before (commandline -opc)
  set -l word (commandline -ct)
  for line in ($before[1] __complete -- $before[2..-1] "$word" 2>/dev/null)
    if string match -q ':files*' -- $line
      __fish_complete_path "$word"
    else
      echo $line
    end
  end
end
complete -c bough -f -a '(__bough_complete)'
`;

export const completionScripts = { bash, zsh, fish } as const;
export type Shell = keyof typeof completionScripts;
