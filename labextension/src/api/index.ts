export * from './errors';
export * from './sse';
export * from './tokens';
export * from './types';
