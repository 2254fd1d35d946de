import './core.css';
import './sidebar.css';
