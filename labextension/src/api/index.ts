export * from './errors';
export * from './jobs';
export * from './sse';
export * from './tokens';
export * from './types';
