/** Commands that bring an agent in. They hold no token: a command line is read by others. */

const NAMESPACE = 'perijove-agent';
const RELEASE = 'perijove-agent';
const CHART = 'deploy/charts/perijove-agent';
const SECRET = 'perijove-registration';

/** Where a person has to put the platform's address. */
export const PLACEHOLDER = 'https://ADDRESS-OF-THIS-PLATFORM';

/** What is done before and after the token is pasted. */
export interface IJoining {
  /** The last of these waits for the token. */
  readonly secret: string;
  readonly install: string;
  /** Whether a person has to fill an address in. */
  readonly incomplete: boolean;
}

/** The way of a cluster's first agent. @param baseUrl - of the platform, as the Jupyter server reaches it */
export function firstJoining(baseUrl: string | null): IJoining {
  const url = reachable(baseUrl);
  return {
    secret: [`kubectl create namespace ${NAMESPACE}`, secretCommand('')].join('\n'),
    install: helm('install', [`platform.url=${url}`], []),
    incomplete: url === PLACEHOLDER
  };
}

/** The way of an agent when there was an attempt, or another agent, before. @param registered - whether one came in */
export function nextJoining(baseUrl: string | null, registered: boolean): IJoining {
  const secret = secretCommand(' --dry-run=client -o yaml | kubectl apply -f -');
  if (!registered) {
    const url = reachable(baseUrl);
    return {
      secret: [
        `kubectl create namespace ${NAMESPACE} --dry-run=client -o yaml | kubectl apply -f -`,
        secret
      ].join('\n'),
      install: helm('upgrade --install', [`platform.url=${url}`], []),
      incomplete: url === PLACEHOLDER
    };
  }
  const forget = `kubectl -n ${NAMESPACE} patch secret ${RELEASE}-credential --type=json -p='[{"op": "remove", "path": "/data"}]'`;
  return {
    secret,
    install: [forget, helm('upgrade', [], ['--reset-then-reuse-values'])].join('\n'),
    incomplete: false
  };
}

/** What lets kubectl reach a cluster. */
export function kubeconfigCommand(name: string): string {
  return `perijove kubeconfig ${name}`;
}

/** What shows and sets quotas of projects. */
export function quotaCommand(name: string): string {
  return `perijove clusters quota ${name}`;
}

function secretCommand(rest: string): string {
  return `kubectl -n ${NAMESPACE} create secret generic ${SECRET} --from-file=token=/dev/stdin${rest}`;
}

function helm(verb: string, values: readonly string[], flags: readonly string[]): string {
  return [
    `helm ${verb} ${RELEASE} ${CHART}`,
    `  --namespace ${[NAMESPACE, ...flags, '--wait'].join(' ')}`,
    ...[...values, `registration.existingSecret.name=${SECRET}`].map(value => `  --set ${value}`)
  ].join(' \\\n');
}

/** The address, unless it is one that only this machine has. */
function reachable(baseUrl: string | null): string {
  const host = baseUrl === null ? '' : new URL(baseUrl).hostname;
  return /^(|localhost|127\..*|\[::1\])$/.test(host) ? PLACEHOLDER : (baseUrl ?? PLACEHOLDER);
}
