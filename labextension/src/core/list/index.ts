export * from './columns';
export type { IChoice } from './FilterRow';
export * from './ListStates';
export * from './model';
export * from './ObjectList';
export * from './props';
export * from './pages';
export * from './section';
export * from './selection';
