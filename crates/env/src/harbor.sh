# driver PHASE WORKDIR ROOTS SECONDS [ARTIFACT...]; the tests are a script on standard input.
phase=$1 workdir=$2 roots=$3 seconds=$4
shift 4
place_tests=$(cat)
exec </dev/null
export HOME=/box/.home
# There is no network: whoever asks for it is told so at once.
export PIP_RETRIES=0
# Names of the root are links into /box; /tests comes to be when the tests do.
for root in $roots; do [ "$root" = tests ] || mkdir -p "/box/$root"; done
mkdir -p /box/.home /logs/agent /logs/verifier /logs/artifacts "$workdir" || exit 91
. /box/.env.sh
(bash /box/.build.sh) || { echo "the image's commands failed"; exit 90; }
rm -f /box/.build.sh
if [ "$phase" != verify ]; then
  cd "$workdir" || exit 91
  if [ -f /solution/.run.sh ]; then script=/solution/.run.sh; else script=/box/.agent.sh; fi
  echo "--- agent"
  timeout "$seconds" setsid -w bash "$script" </dev/null 2>&1
  rm -rf /box/solution/* /box/solution/.run.sh /box/.agent.sh
  if [ "$phase" = agent ]; then
    tar -C / -chf /box/.artifacts.tar "${@#/}" 2>/dev/null
    exit 0
  fi
else
  tar -C / -xf /box/.artifacts.tar 2>/dev/null
  rm -f /box/.artifacts.tar
fi
# Reward files from before the verifier are deleted.
rm -rf /logs/verifier/reward.txt /logs/verifier/reward.json
mkdir -p /box/tests
eval "$place_tests"
# A container takes about so long to start the next command.
sleep 0.2
echo "--- verifier"
cd "$workdir" || exit 91
setsid -w bash /tests/test.sh </dev/null 2>&1
# And about so long passes until the logs are fetched.
sleep 0.2
