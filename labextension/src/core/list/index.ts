export * from './columns';
export * from './ListStates';
export * from './model';
export * from './ObjectList';
export * from './section';
export * from './selection';
