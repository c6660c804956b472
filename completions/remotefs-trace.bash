# bash completion for remotefs-trace

# shellcheck disable=SC2207 # compgen's words are what is wanted

_remotefs_trace_words()
{
	COMPREPLY=($(compgen -W "$1" -- "$2"))
}

# Completes a target: dir/PATH by directory, exec: as it is. $1: what stands before it in the word.
_remotefs_trace_target()
{
	local before=$1 word=$2 dir

	case $word in
	pid/*)
		_remotefs_trace_words "$(printf "${before}pid/%s " $(cd /proc && echo [0-9]*))" "$before$word"
		;;
	dir/*)
		compopt -o nospace -o filenames 2>/dev/null
		while IFS= read -r dir; do
			COMPREPLY+=("${before}dir/$dir/")
		done < <(compgen -d -- "${word#dir/}")
		;;
	*)
		compopt -o nospace 2>/dev/null
		_remotefs_trace_words "$(printf "$before%s " dir/ pid/ exec: pod/ deployment/ statefulset/ daemonset/ replicaset/ job/ cronjob/ \
			service/ label/ docker/ podman/ container/ ssh/ unix: tcp:)" "$before$word"
		;;
	esac
}

# Completes ls and diagnose, whose own word may stand anywhere.
_remotefs_trace_about()
{
	local cur=$1 prev=$2

	case $prev in
	-n | --namespace | --target-namespace | --context | --connect-timeout | --kubectl | --docker | --podman | --ssh | --as | --agent-image)
		return
		;;
	--kubeconfig | --token-file | -f | --config)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--agent-mode)
		_remotefs_trace_words "auto exec ephemeral job" "$cur"
		return
		;;
	-o)
		_remotefs_trace_words "text json" "$cur"
		return
		;;
	esac
	if [[ $cur == -* && ${COMP_WORDS[1]} == ls ]]; then
		_remotefs_trace_words "-n --context --kubeconfig --kubectl --docker --podman --connect-timeout -o -f" "$cur"
	elif [[ $cur == -* ]]; then
		_remotefs_trace_words "-n --context --kubeconfig --kubectl --docker --podman --ssh --as --agent-mode --agent-image --token-file \
			--connect-timeout -f" "$cur"
	elif [[ ${COMP_WORDS[1]} == ls ]]; then
		_remotefs_trace_words "docker podman" "$cur"
	else
		_remotefs_trace_target "" "$cur"
	fi
}

# True when the word behind option $1 is its argument.
_remotefs_trace_takes_word()
{
	case $1 in
	--target | --mount | --mode | --fs-mode | --stats | --trap | --fd-numbering | --cache | --cache-size | --sync | --overlay-dir) return 0 ;;
	--context | --namespace | --target-namespace | --kubeconfig | --agent-startup-timeout | --connect-timeout | --reconnect-timeout | -n | -x) return 0 ;;
	--kubectl | --docker | --podman | --ssh | --agent-mode | --agent-image | --as | --token-file) return 0 ;;
	--map | --not-found | --read-write | --read-only | --local | --env-*) return 0 ;;
	--*) return 1 ;;
	-[trTyqcv]*[oes] | -[oes]) return 0 ;;
	esac
	return 1
}

_remotefs_trace()
{
	local cur=$2 prev=$3 i word paths=

	COMPREPLY=()
	if [[ ${COMP_WORDS[1]} == overlay ]] && ((COMP_CWORD > 1)); then
		if ((COMP_CWORD == 2)); then
			_remotefs_trace_words "diff apply discard" "$cur"
		else
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		fi
		return
	fi
	if [[ ${COMP_WORDS[1]} == @(ls|diagnose) ]] && ((COMP_CWORD > 1)); then
		_remotefs_trace_about "$cur" "$prev"
		return
	fi
	# No program is run, so options may stand anywhere.
	[[ ${COMP_WORDS[1]} == @(explain|verify-config) ]] && ((COMP_CWORD > 1)) && paths=1
	# Behind the program's name it is the program's completion that counts.
	for ((i = paths ? COMP_CWORD : 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- ]]; then
			((i++))
			break
		elif _remotefs_trace_takes_word "$word"; then
			((i++))
			# "=" and ":" are words of their own in bash's eyes.
			[[ ${COMP_WORDS[i]} == = ]] && ((i++))
			while [[ ${COMP_WORDS[i + 1]} == [=:] ]]; do
				((i += 2))
			done
		elif [[ $word != -* ]]; then
			break
		fi
	done
	if [[ -z $paths ]] && { ((i < COMP_CWORD)) || { ((i == COMP_CWORD)) && [[ ${COMP_WORDS[i - 1]} == -- ]]; }; }; then
		if declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		elif ((i == COMP_CWORD)); then
			COMPREPLY=($(compgen -c -- "$cur"))
		else
			COMPREPLY=($(compgen -f -- "$cur"))
		fi
		return
	fi

	[[ $cur == = ]] && cur=
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	case $prev in
	--target)
		_remotefs_trace_target "" "$cur"
		return
		;;
	--mount)
		compopt -o nospace -o filenames 2>/dev/null
		COMPREPLY=($(compgen -d -- "$cur"))
		return
		;;
	-f | --config | --config-file)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	--mode | --fs-mode)
		_remotefs_trace_words "overlay read write local localwithoverrides" "$cur"
		return
		;;
	--agent-mode)
		_remotefs_trace_words "auto exec ephemeral job" "$cur"
		return
		;;
	--trap)
		_remotefs_trace_words "notify ptrace auto" "$cur"
		return
		;;
	--cache)
		_remotefs_trace_words "watch none ttl=" "$cur"
		return
		;;
	--fd-numbering)
		_remotefs_trace_words "high posix" "$cur"
		return
		;;
	--sync)
		_remotefs_trace_words "always close fsync" "$cur"
		return
		;;
	-o | -[!-]*o | --stats | --env-file | --kubeconfig | --token-file)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	-e | -[!-]*e)
		_remotefs_trace_words "%file %desc %process all none trace=" "$cur"
		return
		;;
	trace)
		_remotefs_trace_words "%file %desc %process all none" "$cur"
		return
		;;
	--overlay-dir)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -d -- "$cur"))
		return
		;;
	--cache-size)
		_remotefs_trace_words "64M 256M 1G" "$cur"
		return
		;;
	-s | -[!-]*s | -n | -x | --context | --namespace | --target-namespace | --agent-startup-timeout | --connect-timeout | --reconnect-timeout | --agent-image | --as | --map | --not-found | --read-write | --read-only | --local | --env-*)
		return
		;;
	esac
	# The second part of --mount PATH=TARGET.
	if [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		_remotefs_trace_target "" "$cur"
		return
	fi
	if [[ $cur == -* ]]; then
		_remotefs_trace_words "--target --mount --mode --overlay-dir --config --map --not-found --read-write --read-only --local \
			--env --no-env --env-include --env-exclude --env-file --env-map --env-set --env-unset \
			--namespace --context --kubeconfig --kubectl --docker --podman --ssh --connect-timeout --reconnect-timeout \
			--agent-mode --agent-image --keep-agent --as --token-file --trap --fd-numbering --cache --cache-size --sync --stats --help --version \
			-o -v -e -t -tt -ttt -r -T -y -s -q -c -f -n -x${paths:+ --write}" "$cur"
		return
	fi
	if [[ -n $paths ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	COMPREPLY=($(compgen -c -- "$cur"))
	((COMP_CWORD > 1)) || COMPREPLY+=($(compgen -W "verify-config explain overlay ls diagnose" -- "$cur"))
}

complete -F _remotefs_trace remotefs-trace
