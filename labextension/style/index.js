import core from './core.raw.css';
import { insertStyles } from './insert.js';
import sidebar from './sidebar.raw.css';

insertStyles(core, sidebar);
