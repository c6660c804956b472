#!/bin/bash
# Pods of a real Kubernetes 1.20: which are found, whose rights the agent has, what changes there are seen, what is left behind.
# It needs root, and the bench that ../shared/k8s or K8S_BENCH has.
. "$(dirname "$0")/../lib.sh"

BENCH=$(realpath -m "${K8S_BENCH:-$HERE/../../shared/k8s}")/real
SDK=/usr/lib/google-cloud-sdk/bin
IMAGE=localhost/remotefs-agent:1
ROOT=$(realpath "$HERE/..")

# What the cluster needs that is not here; nothing if all is.
missing() {
	local tool
	[ "$(id -u)" = 0 ] || { echo root; return; }
	[ -x "$BENCH/k8s-up" ] || { echo "$BENCH"; return; }
	for tool in etcd containerd ctr runc openssl ip unshare busybox xz; do
		have $tool || { echo "the program $tool"; return; }
	done
	[ -x /usr/lib/cni/bridge ] || { echo containernetworking-plugins; return; }
	[ -n "$K" ] || echo "kubectl"
}

# One that knows this cluster's ephemeral containers, if there is any.
choose_kubectl() {
	local k
	for k in "${K8S_KUBECTL:-}" $SDK/kubectl.1.28 $SDK/kubectl.1.27 "$(command -v kubectl)"; do
		[ -n "$k" ] && [ -x "$k" ] || continue
		K=$k
		return
	done
	K=
}

choose_kubectl
why=$(missing)
[ -z "$why" ] || { skip "pods of a real cluster" "$why"; exit 0; }

# ---- the cluster

D=$(mktemp -d "${TMPDIR:-/tmp}/rfs-k.XXXXXX")
down() {
	# Afterwards nothing is mounted there, or it stays.
	"$BENCH/k8s-down" "$D" >"$work/down.log" 2>&1 && rm -rf "$D" || { cat "$work/down.log"; echo "$D is left"; } >&2
	finish
}
trap down EXIT

export KUBECONFIG=$D/run/kubeconfig HOME=$work/home
mkdir "$HOME"
k() { within 60 "$K" "$@"; }

# pod NAME KIND…: a container of busybox that says who it is in its environment.
container() {
	echo "{name: $1, image: 'localhost/busybox:1', imagePullPolicy: Never, command: [/bin/sleep, '1000000'], env: [{name: ROLE, value: $2}]${3:+, $3}}"
}

template() {
	echo "{metadata: {labels: {app: $1}}, spec: {terminationGracePeriodSeconds: 0, hostNetwork: true, $2}}"
}

manifest() {
	cat <<-END
		# What begins with a brace would be read as JSON.
		{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {a.conf: "alpha=1"}}
		---
		{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {password: throwaway}}
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: web}
		spec:
		  selector: {matchExpressions: [{key: app, operator: In, values: [web, none]}]}
		  template: $(template web "containers: [$(container bb web 'volumeMounts: [{name: cm, mountPath: /etc/cm}, {name: sec, mountPath: /etc/sec}, {name: tmp, mountPath: /scratchdir}]')],
		    volumes: [{name: cm, configMap: {name: cm}}, {name: sec, secret: {secretName: sec}}, {name: tmp, emptyDir: {}}]")
		---
		apiVersion: apps/v1
		kind: StatefulSet
		metadata: {name: db}
		spec:
		  serviceName: db
		  selector: {matchLabels: {app: db}}
		  template: $(template db "securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000},
		    containers: [$(container bb db 'volumeMounts: [{name: d, mountPath: /var/d}]')], volumes: [{name: d, emptyDir: {}}]")
		---
		{apiVersion: v1, kind: Pod, metadata: {name: scratch}, spec: {terminationGracePeriodSeconds: 0, containers: [
		  {name: app, image: 'localhost/scratch:1', imagePullPolicy: Never, env: [{name: ROLE, value: scratch}]}]}}
		---
		{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: each}, spec: {selector: {matchLabels: {app: each}},
		  template: $(template each "containers: [$(container bb each)]")}}
		---
		{apiVersion: v1, kind: Service, metadata: {name: front}, spec: {selector: {app: each}, ports: [{port: 80}]}}
		---
		{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {ports: [{port: 80}]}}
		---
		{apiVersion: batch/v1, kind: Job, metadata: {name: once}, spec: {template: {spec: {restartPolicy: Never, hostNetwork: true,
		  terminationGracePeriodSeconds: 0, containers: [$(container bb once)]}}}}
		---
		{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: tick}, spec: {suspend: true, schedule: '0 0 1 1 *', jobTemplate: {spec: {template: {spec: {
		  restartPolicy: Never, containers: [$(container bb tick)]}}}}}}
		---
		{apiVersion: v1, kind: Pod, metadata: {name: meshed}, $(template x "containers: [$(container istio-proxy proxy), $(container app app)]" | sed 's/^{.*spec/spec/')
		---
		{apiVersion: v1, kind: Pod, metadata: {name: noted, annotations: {kubectl.kubernetes.io/default-container: envoy}},
		  $(template x "containers: [$(container app app), $(container envoy noted)]" | sed 's/^{.*spec/spec/')
		---
		{apiVersion: v1, kind: Pod, metadata: {name: shared}, $(template x "shareProcessNamespace: true, containers: [$(container first first), $(container second second)]" | sed 's/^{.*spec/spec/')
	END
}

# Docker's form of an image whose only file is the agent, as Containerfile says; by podman where it is there.
image_by_hand() {
	local sum config
	tar --owner=0 --group=0 --numeric-owner -C "$work/context" -cf "$work/layer.tar" remotefs-agent
	sum=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
	printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/remotefs-agent"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$sum" >"$work/config"
	config=$(sha256sum "$work/config" | cut -d' ' -f1).json
	mv "$work/config" "$work/$config"
	printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$IMAGE" >"$work/manifest.json"
	tar -C "$work" -cf "$work/agent.tar" manifest.json "$config" layer.tar
}

image_by_podman() {
	local p="within 60 podman --root $work/podman/root --runroot $work/podman/run --tmpdir $work/podman/tmp --storage-driver vfs --runtime runc --cgroup-manager cgroupfs"
	have podman || { skip "Containerfile" podman; return 1; }
	if $p build --isolation chroot -t $IMAGE -f "$ROOT/deploy/Containerfile" "$work/context" >"$work/build.log" 2>&1 &&
		$p save --format docker-archive -o "$work/agent.tar" $IMAGE >>"$work/build.log" 2>&1; then
		pass "Containerfile makes an image"
		return 0
	fi
	fail "Containerfile makes an image" "$(tail -5 "$work/build.log")"
	return 1
}

bring_image() {
	mkdir "$work/context"
	cp "$AGENT" "$work/context/remotefs-agent"
	strip "$work/context/remotefs-agent" 2>/dev/null
	image_by_podman || image_by_hand
	ctr --address "$D/run/ctd.sock" -n k8s.io images import "$work/agent.tar" >"$work/import.log" 2>&1 || fail "the image can be imported" "$(cat "$work/import.log")"
}

# A job that belongs to the cronjob, as its controller would make one.
tick() {
	local uid
	uid=$(k get cronjob tick -o 'jsonpath={.metadata.uid}')
	k apply -f - <<-END >/dev/null
		# YAML
		{apiVersion: batch/v1, kind: Job, metadata: {name: tick-1, ownerReferences: [{apiVersion: batch/v1beta1, kind: CronJob, name: tick, uid: $uid}]},
		 spec: {template: {spec: {restartPolicy: Never, hostNetwork: true, terminationGracePeriodSeconds: 0, containers: [$(container bb tick)]}}}}
	END
}

up() {
	manifest >"$work/pods.yaml"
	tar -C "$D" -xJf "$BENCH"/k8s-*.tar.xz
	# What is left of the cluster is k8s-down's business, not finish's.
	if ! env -u RFS_TEST_ID K8S_KUBECTL="$K" K8S_MANIFEST="$work/pods.yaml" K8S_PODS=8 K8S_TIMEOUT=$((240 * SCALE)) "$BENCH/k8s-up" "$D" >"$work/up.log" 2>&1; then
		fail "the cluster comes up" "$(tail -8 "$work/up.log")"
		exit 1
	fi
	tick
	bring_image
	until_true 60 sh -c "'$K' get pods -l job-name=tick-1 | grep -q Running" || fail "the cronjob's pod runs"
}

# ---- what is tested

cd "$work" || exit 1
rt() { within 90 "$RT" --kubectl "$K" --agent-image $IMAGE "$@" 2>&1 </dev/null; }

# says NAME WANT OPTION…: what is printed, and how it ends.
says() {
	local name=$1 want=$2 got
	shift 2
	got=$(rt "$@"; echo "= $?")
	equal "$name" "$want" "$got"
}

# refused NAME WORDS OPTION…: 125, and one line with WORDS in it.
refused() {
	local name=$1 words=$2 got
	shift 2
	got=$(rt "$@" -- /bin/busybox true; echo "= $?")
	case $got in
	*$'\n'*$'\n'*) fail "$name: one line" "$got" ;;
	"remotefs-trace: "*"$words"*$'\n= 125') pass "$name" ;;
	*) fail "$name" "wanted: $words" "got:    $got" ;;
	esac
}

names() {
	local target want
	while read -r target want; do
		says "$target" "$want"$'\n= 0' --env --mode read --mount "/r=$target" -- /bin/busybox sh -c 'echo $ROLE' </dev/null
	done <<-END
		deployment/web web
		deploy/web/container/bb web
		replicaset/$(k get rs -l app=web -o 'jsonpath={.items[0].metadata.name}') web
		pod/$(k get pod -l app=web -o 'jsonpath={.items[0].metadata.name}') web
		statefulset/db db
		sts/db db
		pod/db-0 db
		daemonset/each each
		service/front each
		label/app=each each
		job/once once
		cronjob/tick tick
		pod/meshed app
		pod/meshed/container/istio-proxy proxy
		pod/noted noted
		pod/shared/container/second second
	END
}

files() {
	says "a ConfigMap, a Secret and the exit status" "alpha=1throwaway
= 5" --mode read --mount /r=deployment/web -- /bin/busybox sh -c 'cat /r/etc/cm/a.conf /r/etc/sec/password; echo; exit 5'
	says ":/SUBPATH" "alpha=1= 0" --mode read --mount /r=deployment/web:/etc/cm -- /bin/busybox cat /r/a.conf
	says "-n and --context" "alpha=1= 0" -n default --context k --kubeconfig "$KUBECONFIG" --mode read --mount /r=deployment/web:/etc/cm -- /bin/busybox cat /r/a.conf
	cp "$KUBECONFIG" "$HOME/own"
	KUBECONFIG=/none says "--kubeconfig ~/FILE" "alpha=1= 0" --kubeconfig '~/own' --mode read --mount /r=deployment/web:/etc/cm -- /bin/busybox cat /r/a.conf
	says "a signal" "= 137" --mode read --mount /r=deployment/web -- /bin/busybox sh -c 'kill -9 $$'
	says "no such program" "remotefs-trace: /none/such: no such program, neither here nor at the target
= 127" --mode read --mount /r=deployment/web -- /none/such
}

# owner NAME WANT POD PATH
owner() { equal "$1" "$2" "$(k exec "$3" -c bb -- stat -c %u:%g "$4" 2>&1)"; }

owners() {
	local web
	web=$(k get pod -l app=web -o 'jsonpath={.items[0].metadata.name}')
	says "written to an emptyDir" "= 0" --mode write --mount /r=deployment/web:/scratchdir -- /bin/busybox sh -c 'echo x >/r/own'
	owner "owner: the pod's, root" 0:0 "$web" /scratchdir/own
	says "written by uid 1000" "= 0" --mode write --mount /r=statefulset/db:/var/d -- /bin/busybox sh -c 'echo x >/r/own'
	owner "owner: the pod's, 1000" 1000:1000 db-0 /var/d/own
	says "uid 1000 may not write to /" "sh: can't create /r/own: Permission denied
= 1" --mode write --mount /r=statefulset/db -- /bin/busybox sh -c 'echo x >/r/own'
	says "written with --as" "= 0" --as 12:34 --mode write --mount /r=deployment/web:/scratchdir -- /bin/busybox sh -c 'echo x >/r/as'
	[ -z "$(k exec "$web" -- ls -d /scratchdir/as 2>/dev/null)" ] || owner "owner: that of --as" 12:34 "$web" /scratchdir/as
}

# Guests natively on a tree here, and on its copy in the pod's emptyDir.
guests() {
	local guest native traced T=$work/t
	make_tree "$T" --no-absolute
	says "cp -a of a tree into the pod" "= 0" --mode write --mount /r=deployment/web:/scratchdir -- cp -a "$T" /r/t
	for guest in musl/append musl/rename musl/posixlock go/files; do
		[ -x "$GUESTS/$guest" ] || { skip "$guest in a pod" "$guest"; continue; }
		native=$(within 60 "$GUESTS/$guest" "$T" 2>&1 </dev/null; echo "= $?")
		traced=$(rt --mode write --mount "$T=deployment/web:/scratchdir/t" -- "$GUESTS/$guest" "$T"; echo "= $?")
		if [ "$native" = "$traced" ] && [ "${#native}" -gt 10 ]; then
			pass "$guest in a pod"
		else
			fail "$guest in a pod" "$(diff <(echo "$native") <(echo "$traced"))"
		fi
	done
	says "removed again" "= 0" --mode write --mount /r=deployment/web:/scratchdir -- rm -rf /r/t
}

# The kubelet swaps ..data; a pod that changes is looked at at once.
configmap() {
	local watcher
	have inotifywait || { skip "a ConfigMap's update" inotifywait; return; }
	rt -q --mode read --mount /r=deployment/web -- sh -c 'inotifywait -m -e create,moved_to,delete --format "%e %f" /r/etc/cm & w=$!
		until grep -q alpha=2 /r/etc/cm/a.conf; do sleep 0.1; done; cat /r/etc/cm/a.conf; sleep 0.5; kill $w' >"$work/watched" &
	watcher=$!
	until_true 20 grep -q established "$work/watched" || fail "inotifywait in a ConfigMap is ready" "$(cat "$work/watched")"
	k patch configmap cm --type merge -p '{"data":{"a.conf":"alpha=2"}}' >/dev/null
	k annotate pod -l app=web --overwrite "touched=$SECONDS" >/dev/null
	until_true 60 sh -c "! kill -0 $watcher" || { fail "a ConfigMap's update is read by a running program" "$(cat "$work/watched")"; kill $watcher; }
	wait $watcher
	equal "a ConfigMap's update is read by a running program" 1 "$(grep -c alpha=2 "$work/watched")"
	equal "inotify tells of ..data" "MOVED_TO ..data" "$(grep -o 'MOVED_TO \.\.data$' "$work/watched")"
}

ephemerals() { k get pod scratch -o 'go-template={{range .spec.ephemeralContainers}}{{.name}} {{end}}' | wc -w; }

# Agents that serve in the cluster, and that would have to be gone.
serving() {
	local p tag
	tag=$(cat "$D/run/tag")
	for p in /proc/[0-9]*; do
		grep -q "$tag" "$p/cgroup" && tr '\0' ' ' <"$p/cmdline" && echo
	done 2>/dev/null | grep -e "--stdio"
}

nobody_serves() { [ -z "$(serving)" ]; }

scratch() {
	refused "no shell, --agent-mode exec" "there is no shell" --agent-mode exec --mode read --mount /r=pod/scratch
	case $("$K" version --client 2>/dev/null) in
	*v1.2[0-8].*) ;;
	*) skip "ephemeral containers" "a kubectl before 1.29"; return ;;
	esac
	says "an ephemeral container" "app scratch
= 0" --env --mode read --mount /r=pod/scratch -- /bin/busybox sh -c 'cd /r && echo app $ROLE'
	equal "one was added" 1 "$(ephemerals)"
	says "written beside a container" "x
= 0" --read-only /app --mode write --mount /r=pod/scratch -- /bin/busybox sh -c 'echo x >/r/new; cat /r/new; rm /r/new; test -s /r/app'
	equal "two agents are in one" 2 "$(ephemerals)"
	says "beside one of uid 1000" "= 0" --agent-mode ephemeral --mode write --mount /r=sts/db:/var/d -- /bin/busybox sh -c 'echo x >/r/beside'
	owner "its owner" 1000:1000 db-0 /var/d/beside
	says "beside one that shares processes" "second
= 0" --agent-mode ephemeral --env --mode read --mount /r=pod/shared/container/second -- /bin/busybox sh -c 'echo $ROLE'
	says "beside a sidecar" "app
= 0" --agent-mode ephemeral --env --mode read --mount /r=pod/meshed -- /bin/busybox sh -c 'echo $ROLE'
}

no_jobs() { [ -z "$(k get jobs,pods -l app=remotefs-agent -o name 2>&1)" ]; }

jobs_mode() {
	local pid
	says "a job" "x scratch
= 0" --agent-mode job --env --read-only /app --mode write --mount /r=pod/scratch -- /bin/busybox sh -c 'echo x >/r/new; echo $(cat /r/new) $ROLE; rm /r/new; test -s /r/app'
	until_true 20 no_jobs && pass "its job is gone" || fail "its job is gone" "$(k get jobs,pods -l app=remotefs-agent 2>&1)"
	says "a job for uid 1000" "= 0" --agent-mode job --mode write --mount /r=sts/db:/var/d -- /bin/busybox sh -c 'echo x >/r/job'
	owner "its owner" 1000:1000 db-0 /var/d/job
	"$RT" --kubectl "$K" --agent-image $IMAGE --agent-mode job --reconnect-timeout 0 --mode read --mount /r=pod/scratch -- /bin/busybox sh -c 'echo up; sleep 60' >"$work/killed" 2>&1 &
	pid=$!
	until_true 30 grep -q up "$work/killed" || fail "a job's agent is up" "$(cat "$work/killed")"
	kill -KILL $pid
	wait $pid 2>/dev/null
	until_true 20 no_jobs && pass "the job is gone after kill -9" || fail "the job is gone after kill -9" "$(k get jobs,pods -l app=remotefs-agent 2>&1)"
	until_true 10 nobody_serves && pass "no agent serves any more" || fail "no agent serves any more" "$(serving)"
	refused "an image that there is not" "localhost/none:1" --agent-mode job --agent-image localhost/none:1 --mode read --mount /r=pod/scratch
}

killed() {
	local pid
	"$RT" --kubectl "$K" --reconnect-timeout 0 --mode read --mount /r=deployment/web -- /bin/busybox sh -c 'echo up; sleep 60' >"$work/killed" 2>&1 &
	pid=$!
	until_true 30 grep -q up "$work/killed" || fail "an agent is up" "$(cat "$work/killed")"
	kill -KILL $pid
	wait $pid 2>/dev/null
	until_true 10 nobody_serves && pass "after kill -9 no agent serves" || fail "after kill -9 no agent serves" "$(serving)"
	equal "nothing is left in the pod" "" "$(k exec deployment/web -- find / -xdev -name '.rfs*' -o -xdev -name '.remotefs*' 2>&1; k exec deployment/web -- find /dev/shm /tmp /scratchdir -name '.r*' 2>&1)"
}

# kubectl exec deployment/NAME would take a pod that is about to go as well.
terminating() {
	local old
	k apply -f - <<-END >/dev/null
		# YAML
		{apiVersion: apps/v1, kind: Deployment, metadata: {name: slow}, spec: {selector: {matchLabels: {app: slow}},
		  template: $(template slow "containers: [$(container bb slow)]" | sed 's/GracePeriodSeconds: 0/GracePeriodSeconds: 60/; s/hostNetwork: true, //')}}
	END
	k rollout status deployment/slow --timeout 60s >/dev/null 2>&1
	old=$(k get pod -l app=slow -o name)
	k delete --wait=false "$old" >/dev/null
	k rollout status deployment/slow --timeout 60s >/dev/null 2>&1
	equal "the pod that is not terminating" "new" "$(rt --env --mode read --mount /r=deployment/slow -- /bin/busybox sh -c "[ pod/\$HOSTNAME != $old ] && [ -n \"\$HOSTNAME\" ] && echo new")"
	k scale --replicas 0 deployment/slow >/dev/null
	until_true 20 sh -c "! '$K' get pods -l app=slow | grep -q Running" || true
	refused "all are terminating" "no pod of deployment/slow is running" --mode read --mount /r=deployment/slow
	k delete --now --wait=false deployment,pods -l app=slow >/dev/null 2>&1
}

refusals() {
	refused "no such pod" 'pods "none" not found' --mode read --mount /r=pod/none
	refused "no such deployment" '"none" not found' --mode read --mount /r=deployment/none
	refused "no such container" "container none is not valid" --mode read --mount /r=pod/db-0/container/none
	refused "no such namespace" '"none" not found' -n none --mode read --mount /r=pod/db-0
	refused "no such context" "none" --context none --mode read --mount /r=pod/db-0
	refused "no such kubeconfig" "/none" --kubeconfig /none --mode read --mount /r=pod/db-0
	refused "no such label" "that label has no pods" --mode read --mount /r=label/app=none
	refused "a service without a selector" "service/nobody selects no pods" --mode read --mount /r=service/nobody
	refused "a cronjob without jobs" "no job now" --mode read --mount /r=cronjob/none
	refused "no kubectl" "see --kubectl" --kubectl /none --mode read --mount /r=pod/db-0
}

# account NAME FILE: a kubeconfig with that account's token.
account() {
	local secret
	until_true 20 sh -c "'$K' get serviceaccount $1 -o 'jsonpath={.secrets[0].name}' | grep -q ."
	secret=$(k get serviceaccount "$1" -o 'jsonpath={.secrets[0].name}')
	k config view --raw --minify >"$2"
	k --kubeconfig "$2" config set-credentials u --token "$(k get secret "$secret" -o 'jsonpath={.data.token}' | base64 -d)" >/dev/null
	k --kubeconfig "$2" config unset users.u.client-certificate-data >/dev/null
	k --kubeconfig "$2" config unset users.u.client-key-data >/dev/null
}

rights() {
	local own=$HOME/account bare=$HOME/bare
	k create serviceaccount bare >/dev/null
	k create rolebinding bare --clusterrole view --serviceaccount default:bare >/dev/null
	k apply -f "$ROOT/deploy/exec.yaml" >/dev/null
	account remotefs "$own"
	account bare "$bare"
	says "exec.yaml is enough" "alpha=2= 0" --kubeconfig "$own" --mode read --mount /r=deployment/web:/etc/cm -- /bin/busybox cat /r/a.conf
	says "exec.yaml is enough for a cronjob" "= 0" --kubeconfig "$own" --mode read --mount /r=cronjob/tick -- /bin/busybox true
	refused "no right to exec" 'the right to "create" pods/exec' --kubeconfig "$bare" --mode read --mount /r=pod/db-0
	refused "no right to ephemeral containers" "pods/ephemeralcontainers" --kubeconfig "$own" --mode read --mount /r=pod/scratch
	refused "no right to jobs" 'the right to "create" jobs' --kubeconfig "$own" --agent-mode job --mode read --mount /r=pod/scratch
	k apply -f "$ROOT/deploy/ephemeral.yaml" -f "$ROOT/deploy/job.yaml" >/dev/null
	says "ephemeral.yaml is enough" "= 0" --kubeconfig "$own" --mode read --mount /r=pod/scratch -- /bin/busybox test -s /r/app
	says "job.yaml is enough" "= 0" --kubeconfig "$own" --agent-mode job --mode read --mount /r=pod/scratch -- /bin/busybox test -s /r/app
	until_true 20 no_jobs && pass "also to delete the job" || fail "also to delete the job" "$(k get jobs -l app=remotefs-agent 2>&1)"
}

# Each says in its own way which container it has taken; K8S_KUBECTLS names more.
kubectls() {
	local k K=$K
	for k in $SDK/kubectl.1.* ${K8S_KUBECTLS:-}; do
		[ -x "$k" ] || continue
		K=$k
		says "${k##*/}" "app
= 0" --env --mode read --mount /r=pod/meshed -- /bin/busybox sh -c 'cd /r/data && echo $ROLE'
	done
}

up
for t in ${KUBE_TESTS:-names files owners guests configmap scratch jobs_mode killed terminating refusals rights kubectls}; do
	before=$(date +%s%N)
	$t
	[ -z "${TIMES:-}" ] || echo "$t $((($(date +%s%N) - before) / 1000000)) ms" >&2
done
