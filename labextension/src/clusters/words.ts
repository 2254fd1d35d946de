import { TranslationBundle } from '@jupyterlab/translation';

import { ICluster, IClusterNode } from '../api/types';
import { formatBytes } from '../core/format';

/** A state of the platform's, or `impaired`: connected, with problems. */
export type Health = ICluster['state'] | 'impaired';

export function healthOf(cluster: ICluster): Health {
  return cluster.state === 'connected' && cluster.problems.length > 0 ? 'impaired' : cluster.state;
}

/** The state in a word. */
export function healthText(cluster: ICluster, trans: TranslationBundle): string {
  const words: Record<Health, string> = {
    registering: trans.__('Not connected yet'),
    connected: trans.__('Connected'),
    impaired: trans.__('Has problems'),
    lost: trans.__('Lost'),
    revoked: trans.__('Revoked')
  };
  return words[healthOf(cluster)];
}

/** What is free and there, in short: its accelerators, else its processors and memory; empty while nobody knows. */
export function capacityText(cluster: ICluster, trans: TranslationBundle): string {
  const { accelerators, capacity } = cluster;
  const devices = accelerators.map(({ type, free, total }) =>
    trans.__('%1 of %2 %3 free', free, total, type)
  );
  if (devices.length > 0) {
    return devices.join(', ');
  }
  if (capacity === null) {
    return '';
  }
  const parts = [
    capacity.cpus === 1 ? trans.__('1 CPU') : trans.__('%1 CPUs', shortNumber(capacity.cpus)),
    formatBytes(capacity.memory_bytes)
  ];
  if (capacity.gpus > 0) {
    parts.unshift(trans.__('%1 of %2 GPU free', capacity.gpus_free, capacity.gpus));
  }
  return parts.join(' · ');
}

/** How a place is offered where a job is created. */
export function placeText(cluster: ICluster, trans: TranslationBundle): string {
  const name = cluster.kind === 'local' ? trans.__('This machine') : cluster.name;
  const told =
    cluster.state === 'connected' ? capacityText(cluster, trans) : healthText(cluster, trans);
  return told === '' ? name : trans.__('%1 – %2', name, told);
}

/** A number without digits that nobody reads: `7.5`, `64`. */
export function shortNumber(value: number): string {
  return String(Math.round(value * 100) / 100);
}

const SUFFIXES: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
  n: 1e-9,
  u: 1e-6
};

/** The number that a quantity of Kubernetes stands for; `NaN` when it is none. */
export function quantity(text: string): number {
  const [, number, suffix] = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([A-Za-z]*)$/.exec(text) ?? [];
  return number === undefined ? NaN : Number(number) * (suffix ? (SUFFIXES[suffix] ?? NaN) : 1);
}

/** A quantity of a resource, as a person reads it. */
export function amount(resource: string, text: string): string {
  const value = quantity(text);
  if (Number.isNaN(value)) {
    return text;
  }
  const bytes = ['memory', 'ephemeral-storage', 'storage'].includes(resource);
  return bytes || resource.startsWith('hugepages-') ? formatBytes(value) : shortNumber(value);
}

/** Amounts by resource, in short: `cpu 4 of 8, memory 3.2 GB of 34 GB`. */
export function amounts(
  all: Readonly<Record<string, string>>,
  used: Readonly<Record<string, string>> | null,
  trans: TranslationBundle
): string {
  return Object.entries(all)
    .map(([resource, text]) => {
      const total = amount(resource, text);
      const taken = used && amount(resource, used[resource] ?? '0');
      return taken === null
        ? `${resource} ${total}`
        : trans.__('%1 %2 of %3', resource, taken, total);
    })
    .join(', ');
}

/** A node's state in words, with what its kubelet complains about. */
export function nodeState(node: IClusterNode, trans: TranslationBundle): string {
  const words = [node.ready ? trans.__('Ready') : trans.__('Not ready')];
  if (!node.schedulable) {
    words.push(trans.__('cordoned'));
  }
  for (const { type, status, reason, message } of node.conditions) {
    const fine = type === 'Ready' ? 'True' : 'False';
    if (status !== fine) {
      words.push(message || reason || type);
    }
  }
  return words.join(', ');
}
