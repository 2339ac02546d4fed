#!/usr/bin/env bash
# Run a sweep, or what is left of it, on the Kubernetes cluster that kubectl points at: run.sh SWEEP
# OVERLAY: a directory of overlays/. IMAGE: the image's repository, its tag is the overlay's name. ARGS: for `zfscale run`.
# RESULTS: a bucket's URL in place of the volume. SERVICE_ACCOUNT: whose the pods are, for its rights to the bucket.
# DRY_RUN=1: print the manifests, ask the cluster nothing.
set -euo pipefail

fail() { echo "$1" >&2; exit 2; }

sweep=$1 overlay=${OVERLAY:-cpu} image=${IMAGE:-zfscale} args=${ARGS:-} results=${RESULTS:-} account=${SERVICE_ACCOUNT:-}
here=$(cd "$(dirname "$0")" && pwd)
[ -d "$here/overlays/$overlay" ] || fail "OVERLAY=$overlay: unknown; allowed: $(cd "$here/overlays" && echo *)"
[ -f "$sweep" ] || fail "SWEEP=$sweep: no such file"
[[ -z $results || $results =~ ^(s3|gs)://[A-Za-z0-9][A-Za-z0-9._/-]*$ ]] ||
  fail "RESULTS=$results: expected s3://BUCKET/DIRECTORY or gs://BUCKET/DIRECTORY"
[[ $account =~ ^[a-z0-9.-]*$ ]] || fail "SERVICE_ACCOUNT=$account: no name of a service account"
command -v kubectl >/dev/null || fail "kubectl: not found; it talks to the cluster"

# What Kubernetes takes for a name: lower case, digits and dashes, and KubeRay leaves a job 47 characters.
name=$(sed -n "s/^name:[[:space:]]*[\"']\{0,1\}\([A-Za-z0-9._-]*\).*/\1/p" "$sweep" | head -n 1)
[ -n "$name" ] || fail "$sweep: name: missing; it names the job"
job=$(echo "zfscale-$name" | tr 'A-Z._' 'a-z--' | sed 's/-*$//')
[ ${#job} -le 47 ] || fail "$sweep: name: $name: ${#name} characters; allowed on Kubernetes: 39"

# The pods have the image, the sweep file and /results, nothing of this machine.
path=$(sed -n "s/^\([^#]*[{, ]\)\{0,1\}path:[[:space:]]*[\"']\{0,1\}\([^/\"' ,}][^\"' ,}]*\).*/\2/p" "$sweep" | head -n 1)
[ -z "$path" ] || fail "$sweep: path: $path: not in the pods; give the absolute path of what is in the image or /results"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/base" "$here/bucket" "$here/overlays" "$here/storage" "$work"
mkdir "$work/job"
cp -R "$work/base/per-sweep.yaml" "$work/job"
cp "$sweep" "$work/job/sweep.yaml"
entrypoint=$(sed -n 's/^  entrypoint: //p' "$work/base/rayjob.yaml")
# In the base, where both groups of workers are.
if [ -n "$results" ]; then
  entrypoint=${entrypoint/output.dir=\/results/output.dir=$results}
  echo 'components: [../bucket]' >>"$work/base/kustomization.yaml"
fi
if [ -n "$account" ]; then
  printf 'patches:\n  - target: {kind: RayJob}\n    patch: |-\n' >>"$work/base/kustomization.yaml"
  for group in headGroupSpec workerGroupSpecs/0 workerGroupSpecs/1; do
    echo "      - {op: add, path: /spec/rayClusterSpec/$group/template/spec/serviceAccountName, value: \"$account\"}"
  done >>"$work/base/kustomization.yaml"
fi
cat >"$work/job/kustomization.yaml" <<END
resources: [../overlays/$overlay]
nameSuffix: "${job#zfscale}"
configMapGenerator: [{name: zfscale-sweep, files: [sweep.yaml], options: {disableNameSuffixHash: true}}]
images: [{name: zfscale, newName: "$image"}]
replacements: [{path: per-sweep.yaml}]
patches:
  - target: {kind: RayJob}
    patch: |-
      - op: replace
        path: /spec/entrypoint
        value: |-
          $entrypoint${args:+ $args}
END
storage=', storage'
[ -z "$results" ] || storage=''
echo "resources: [job$storage]" >"$work/kustomization.yaml"

if [ -n "${DRY_RUN:-}" ]; then
  kubectl kustomize "$work"
  exit
fi
# A RayJob runs once: one that ended makes room for the next, which finds its results on the volume.
state=$(kubectl get "rayjob/$job" --ignore-not-found -o 'jsonpath={.status.jobDeploymentStatus}')
case $state in
  Complete | Failed | ValidationFailed) kubectl delete "rayjob/$job" ;;
  ?*) echo "rayjob/$job: $state; \`kubectl delete rayjob/$job\` stops it, what is done stays"; exit ;;
esac
kubectl apply -k "$work"
