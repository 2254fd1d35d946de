import { firstJoining, nextJoining, PLACEHOLDER } from '../joining';

const URL = 'https://perijove.example.org';

describe('firstJoining', () => {
  it('installs the chart with the platform’s address, and with a Secret instead of a token', () => {
    const { secret, install, incomplete } = firstJoining(URL);
    expect(secret.split('\n')).toEqual([
      'kubectl create namespace perijove-agent',
      'kubectl -n perijove-agent create secret generic perijove-registration --from-file=token=/dev/stdin'
    ]);
    expect(install).toBe(
      [
        'helm install perijove-agent deploy/charts/perijove-agent \\',
        '  --namespace perijove-agent --wait \\',
        `  --set platform.url=${URL} \\`,
        '  --set registration.existingSecret.name=perijove-registration'
      ].join('\n')
    );
    expect(incomplete).toBe(false);
  });

  it.each([null, 'http://127.0.0.1:8123', 'http://localhost:8123', 'http://[::1]:8123'])(
    'asks for an address instead of %p, which no cluster reaches',
    address => {
      const { install, incomplete } = firstJoining(address);
      expect(install).toContain(`platform.url=${PLACEHOLDER}`);
      expect(incomplete).toBe(true);
    }
  );
});

describe('nextJoining', () => {
  it('does again what may have been done, when no agent ever came', () => {
    const { secret, install } = nextJoining(URL, false);
    expect(secret.match(/kubectl apply -f -/g)).toHaveLength(2);
    expect(install).toContain('helm upgrade --install perijove-agent');
    expect(install).toContain(URL);
  });

  it('takes the agent’s old credential away, and keeps the values that it was installed with', () => {
    const { install, incomplete } = nextJoining(null, true);
    expect(install).toContain('patch secret perijove-agent-credential');
    expect(install).toContain('--reset-then-reuse-values');
    expect(install).not.toContain('platform.url');
    expect(incomplete).toBe(false);
  });
});
